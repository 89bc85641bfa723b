//! The gate in front of all services: a call passes once it is known who makes
//! it, for which tenant, and that they may.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use http::request::Parts;
use tonic::{Request, Status};
use tower::{Layer, Service};

use super::{
    Peer,
    call::Whose,
    scopes::{Need, need},
    status::to_status,
};
use crate::{
    control::{Control, Error},
    domain::{ApiKeyId, Caller, NotAuthenticated, Scope, TenantId},
};

/// The metadata that names the tenant of a call.
const TENANT: &str = "postrider-tenant";

/// Puts the gate before services.
#[derive(Clone)]
pub(super) struct Gate(pub(super) Arc<Control>);

/// Services behind the gate.
#[derive(Clone)]
pub(super) struct Gated<S> {
    control: Arc<Control>,
    services: S,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, services: S) -> Gated<S> {
        let control = self.0.clone();
        Gated { control, services }
    }
}

impl<S, B, A> Service<http::Request<B>> for Gated<S>
where
    S: Service<http::Request<B>, Response = http::Response<A>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    A: Default,
{
    type Response = http::Response<A>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<A>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.services.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let control = self.control.clone();
        // Those that are ready take the call, and their clone gets ready next.
        let next = self.services.clone();
        let mut services = std::mem::replace(&mut self.services, next);
        Box::pin(async move {
            let scope = match need(request.uri().path()) {
                Some(Need::Scope(scope)) => scope,
                Some(Need::Nothing) => return services.call(request).await,
                None => return Ok(Status::unimplemented("").into_http()),
            };
            let (mut call, body) = request.into_parts();
            match admit(&control, &call, scope).await {
                Ok(caller) => {
                    if let Some(whose) = call.extensions.get::<Whose>() {
                        whose.is(&caller.tenant);
                    }
                    call.extensions.insert(caller);
                    let request = http::Request::from_parts(call, body);
                    services.call(request).await
                }
                Err(error) => Ok(to_status(error).into_http()),
            }
        })
    }
}

/// Who makes a call that needs this scope.
async fn admit(control: &Control, call: &Parts, scope: Scope) -> Result<Caller, Error> {
    let certificate = call.extensions.get::<Peer>();
    let certificate = certificate.and_then(|peer| peer.certificate.as_deref());
    let shown = call.headers.get(http::header::AUTHORIZATION);
    let shown = shown.map(|shown| bearer(shown.as_bytes()).unwrap_or_default());
    let identity = control.identify(shown, certificate).await?;
    let named = call.headers.get(TENANT);
    let named = named.map(|named| named.to_str().unwrap_or_default());
    Ok(identity.call(named, scope)?)
}

/// The credentials of `Bearer ...` (RFC 6750).
fn bearer(shown: &[u8]) -> Option<&str> {
    let (scheme, credentials) = std::str::from_utf8(shown).ok()?.split_once(' ')?;
    let credentials = credentials.trim_matches(' ');
    scheme.eq_ignore_ascii_case("bearer").then_some(credentials)
}

/// Who makes the call.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    // There is none only where a call came past the gate.
    caller.ok_or_else(|| to_status(NotAuthenticated::NoKey.into()))
}

/// The tenant that the call acts for.
pub(super) fn tenant<T>(request: &Request<T>) -> Result<TenantId, Status> {
    caller(request).map(|caller| caller.tenant)
}

/// The stream until it ends, or until the key that it was opened by is no longer
/// good.
pub(super) fn while_allowed<T: Send + 'static>(
    control: &Control,
    key: Option<ApiKeyId>,
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    let refused = Box::pin(control.until_refused(key));
    let begin = Some((answers.boxed(), refused));
    let allowed = stream::unfold(begin, |streaming| async {
        let (mut answers, mut refused) = streaming?;
        tokio::select! {
            biased;
            why = &mut refused => Some((Err(to_status(why.into())), None)),
            answer = answers.next() => Some((answer?, Some((answers, refused)))),
        }
    });
    allowed.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_follow_the_scheme() {
        assert_eq!(bearer(b"Bearer pr_1"), Some("pr_1"));
        assert_eq!(bearer(b"bearer  pr_1 "), Some("pr_1"));
        for other in [
            &b"pr_1"[..],
            b"Basic pr_1",
            b"Bearer",
            b"Bearer\tpr_1",
            b"Bearer \xff",
        ] {
            assert_eq!(bearer(other), None);
        }
    }
}
