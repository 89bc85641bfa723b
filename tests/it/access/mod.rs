//! Who gets in: API keys, tenants and scopes, against the real binary.

mod call;
mod canaries;
mod first_key;
mod matrix;
mod quotas;
mod requests;
mod shared;
mod soon;
mod streams;
mod tenants;

use std::{fs, path::Path};

use postrider::proto::{
    ApiKey, ApiKeyScope, CreateApiKeyRequest, RevokeApiKeyRequest,
    api_key_service_client::ApiKeyServiceClient,
};
use tempfile::TempDir;
use tonic::{
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::support::Process;

/// Every scope.
const ALL: [ApiKeyScope; 4] = [
    ApiKeyScope::Publish,
    ApiKeyScope::Read,
    ApiKeyScope::Manage,
    ApiKeyScope::Admin,
];

const KEYS: [(&str, &str); 1] = [("POSTRIDER_AUTH_MODE", "keys")];

/// A server that asks for keys, and the first of them.
struct Home {
    server: Process,
    admin: String,
    data: TempDir,
}

impl Home {
    async fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Process::start_with(data.path(), &KEYS).await;
        let admin = admin_key(data.path());
        Self {
            server,
            admin,
            data,
        }
    }

    /// Creates a key for a tenant.
    async fn key(&self, tenant: &str, scopes: &[ApiKeyScope]) -> ApiKey {
        self.create(tenant, key_with(scopes)).await
    }

    async fn create(&self, tenant: &str, key: ApiKey) -> ApiKey {
        create(self.server.channel(), &self.admin, tenant, key).await
    }

    async fn revoke(&self, tenant: &str, id: &str) {
        revoke(self.server.channel(), &self.admin, tenant, id).await;
    }
}

/// The key that a server made when it was first started.
fn admin_key(data: &Path) -> String {
    let key = fs::read_to_string(data.join("admin.key")).unwrap();
    key.trim().to_owned()
}

fn key_with(scopes: &[ApiKeyScope]) -> ApiKey {
    ApiKey {
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        ..ApiKey::default()
    }
}

async fn create(channel: Channel, admin: &str, tenant: &str, key: ApiKey) -> ApiKey {
    let request = CreateApiKeyRequest { api_key: Some(key) };
    let mut keys = ApiKeyServiceClient::new(shown(channel, admin, tenant));
    let created = keys.create_api_key(request).await;
    created.expect("the key is created").into_inner()
}

async fn revoke(channel: Channel, admin: &str, tenant: &str, id: &str) {
    let request = RevokeApiKeyRequest { id: id.to_owned() };
    let mut keys = ApiKeyServiceClient::new(shown(channel, admin, tenant));
    keys.revoke_api_key(request).await.expect("it is revoked");
}

/// A connection whose calls show a key, and name a tenant.
type Shown = InterceptedService<Channel, Show>;

/// Puts a key and a tenant into the metadata; either may be empty.
#[derive(Clone)]
struct Show {
    key: MetadataValue<Ascii>,
    tenant: MetadataValue<Ascii>,
}

fn shown(channel: Channel, key: &str, tenant: &str) -> Shown {
    let show = Show {
        key: format!("Bearer {key}").parse().unwrap(),
        tenant: tenant.parse().unwrap(),
    };
    InterceptedService::new(channel, show)
}

impl Interceptor for Show {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.key.clone());
        if !self.tenant.is_empty() {
            metadata.insert("postrider-tenant", self.tenant.clone());
        }
        Ok(request)
    }
}
