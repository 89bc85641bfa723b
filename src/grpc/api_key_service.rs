//! `ApiKeyService`: convert, call, convert.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    access::caller,
    convert::{api_key, from_id},
    status::to_status,
};
use crate::{
    control::Control,
    proto::{
        ApiKey, CreateApiKeyRequest, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
        api_key_service_server::ApiKeyService,
    },
};

/// The service over the use cases.
pub(super) struct ApiKeys(pub(super) Arc<Control>);

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<ApiKey>, Status> {
        let caller = caller(&request)?;
        let spec = api_key::from_create(request.into_inner(), &caller, self.0.now());
        let created = self.0.create_key(spec.map_err(to_status)?).await;
        let (key, text) = created.map_err(to_status)?;
        Ok(Response::new(api_key::to_created(&key, &text)))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let caller = caller(&request)?;
        let (holder, list) =
            api_key::from_list(request.into_inner(), &caller).map_err(to_status)?;
        let listed = self.0.list_keys(&holder, &list).await;
        let listed = listed.map_err(to_status)?;
        Ok(Response::new(ListApiKeysResponse {
            api_keys: listed.items.iter().map(api_key::to_api_key).collect(),
            next_page_token: listed.next_page_token,
        }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<ApiKey>, Status> {
        let caller = caller(&request)?;
        let id = from_id("id", &request.into_inner().id).map_err(to_status)?;
        let revoked = self.0.revoke_key(&caller, id).await.map_err(to_status)?;
        Ok(Response::new(api_key::to_api_key(&revoked)))
    }
}
