//! Whether the URL of a subscription may be called, as far as that is known
//! when it is written. Every attempt judges it anew.

use std::time::Duration;

use super::{Control, Error, Result};
use crate::{domain::EndpointUrl, resolve};

/// How long a name may take to resolve, until the judgement is left to the
/// attempts.
const PATIENCE: Duration = Duration::from_secs(2);

impl Control {
    /// Refuses a URL that may not be called, or that leads nowhere.
    ///
    /// A name that does not exist (yet), or whose nameservers do not answer, is
    /// no reason to refuse the subscription: nothing is called until it
    /// resolves to addresses that may be.
    pub(super) async fn check_url(&self, url: &EndpointUrl) -> Result<()> {
        let resolved = self.resolver.resolve(url.as_url());
        let Ok(Err(error)) = tokio::time::timeout(PATIENCE, resolved).await else {
            return Ok(());
        };
        match error {
            resolve::Error::Refused(_) | resolve::Error::NoAddress(_) => Err(Error::invalid(
                "subscription.url",
                format_args!("must lead to where deliveries may go: {error}"),
            )),
            resolve::Error::NoName(_) | resolve::Error::Failed { .. } => Ok(()),
        }
    }
}
