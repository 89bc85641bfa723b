//! API keys.

use super::{Fields, from_timestamp, to_timestamp};
use crate::{
    control::{Error, List},
    domain::{ApiKey, ApiKeySpec, Caller, Holder, KeyText, Scope, Scopes, Timestamp},
    proto::{self, CreateApiKeyRequest, ListApiKeysRequest},
};

/// Checks a `CreateApiKey` request.
pub(in crate::grpc) fn from_create(
    request: CreateApiKeyRequest,
    caller: &Caller,
    now: Timestamp,
) -> Result<ApiKeySpec, Error> {
    let mut fields = Fields::at("api_key.");
    let key = request.api_key.unwrap_or_default();
    let holder = caller.holder(key.all_tenants)?;
    let named = fields.check_each("scopes", &key.scopes, |scope| from_scope(*scope));
    let scopes: Scopes = named.iter().copied().collect();
    let scopes = if named.len() == key.scopes.len() {
        fields.check("scopes", ApiKeySpec::check_scopes(scopes, &holder))
    } else {
        None // What is wrong is noted already.
    };
    let description = ApiKeySpec::check_description(key.description);
    let description = fields.check("description", description);
    let expire_time = key.expire_time.and_then(|time| {
        let time = from_timestamp(time);
        let time = time.and_then(|time| ApiKeySpec::check_expire_time(time, now));
        fields.check("expire_time", time)
    });
    fields.finish(|| {
        Some(ApiKeySpec {
            holder,
            scopes: scopes?,
            description: description?,
            expire_time,
        })
    })
}

/// Checks a `ListApiKeys` request: whose keys, and which page.
pub(in crate::grpc) fn from_list(
    request: ListApiKeysRequest,
    caller: &Caller,
) -> Result<(Holder, List), Error> {
    let mut fields = Fields::default();
    let holder = caller.holder(request.all_tenants)?;
    let page_size = List::check_size(request.page_size, fields.violations());
    let page_token = request.page_token;
    fields.finish(|| {
        let list = List {
            page_size,
            page_token,
        };
        Some((holder, list))
    })
}

/// The key as a message.
pub(in crate::grpc) fn to_api_key(key: &ApiKey) -> proto::ApiKey {
    let tenant = match &key.spec.holder {
        Holder::Tenant(tenant) => tenant.to_string(),
        Holder::Operator => String::new(),
    };
    let scopes = key.spec.scopes.iter();
    proto::ApiKey {
        id: key.id.to_string(),
        tenant,
        all_tenants: key.spec.holder == Holder::Operator,
        scopes: scopes.map(|scope| to_scope(scope).into()).collect(),
        description: key.spec.description.clone(),
        key: String::new(),
        expire_time: key.spec.expire_time.map(to_timestamp),
        create_time: Some(to_timestamp(key.create_time)),
        revoke_time: key.revoke_time.map(to_timestamp),
    }
}

/// The answer to a creation, which alone shows the key itself.
pub(in crate::grpc) fn to_created(key: &ApiKey, text: &KeyText) -> proto::ApiKey {
    proto::ApiKey {
        key: text.expose().to_owned(),
        ..to_api_key(key)
    }
}

fn from_scope(scope: i32) -> Result<Scope, &'static str> {
    let wrong = "must be API_KEY_SCOPE_PUBLISH, API_KEY_SCOPE_READ, API_KEY_SCOPE_MANAGE or \
                 API_KEY_SCOPE_ADMIN";
    match proto::ApiKeyScope::try_from(scope).map_err(|_| wrong)? {
        proto::ApiKeyScope::Unspecified => Err(wrong),
        proto::ApiKeyScope::Publish => Ok(Scope::Publish),
        proto::ApiKeyScope::Read => Ok(Scope::Read),
        proto::ApiKeyScope::Manage => Ok(Scope::Manage),
        proto::ApiKeyScope::Admin => Ok(Scope::Admin),
    }
}

fn to_scope(scope: Scope) -> proto::ApiKeyScope {
    match scope {
        Scope::Publish => proto::ApiKeyScope::Publish,
        Scope::Read => proto::ApiKeyScope::Read,
        Scope::Manage => proto::ApiKeyScope::Manage,
        Scope::Admin => proto::ApiKeyScope::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TenantId;

    #[test]
    fn every_wrong_field_is_named() {
        let now = Timestamp::from_secs(10);
        let request = CreateApiKeyRequest {
            api_key: Some(proto::ApiKey {
                scopes: vec![1, 0, 9],
                description: "x".repeat(1_025),
                expire_time: Some(to_timestamp(now)),
                ..proto::ApiKey::default()
            }),
        };
        let caller = Caller {
            tenant: TenantId::default(),
            is_operator: false,
            key: None,
        };
        let fields = |request| {
            let Err(Error::Invalid(violations)) = from_create(request, &caller, now) else {
                panic!("it was taken");
            };
            let fields = violations.into_iter().map(|wrong| wrong.field);
            fields.collect::<Vec<_>>()
        };
        assert_eq!(
            fields(request),
            [
                "api_key.scopes[1]",
                "api_key.scopes[2]",
                "api_key.description",
                "api_key.expire_time",
            ]
        );
        assert_eq!(fields(CreateApiKeyRequest::default()), ["api_key.scopes"]);
    }
}
