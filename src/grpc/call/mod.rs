//! What every call goes through, whatever it asks for: the limits of what may
//! be under way, its deadline, the end of the server, and its own panic.

mod answer;
mod deadline;
mod load;
mod method;
mod request;
mod shares;
mod unsent;
mod whole;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use tonic::{Status, body::Body, service::Routes};
use tower::Service;

pub use self::load::Limits;
use self::{
    answer::Answer,
    deadline::Deadline,
    load::{Held, Load},
    method::{Kind, Methods},
    request::{Admission, Received, forget},
    whole::{Room, Whole},
};
pub(super) use self::{load::Budget, shares::Whose, unsent::Unsent};
use super::{codec_errors::explained, server::Shutdown, status::to_status};
use crate::control::Error;

/// Longest stream of a caller who needs no key.
const OPEN_FOR: Duration = Duration::from_mins(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers calls.
#[derive(Clone)]
pub(super) struct Calls {
    routes: Routes,
    methods: Arc<Methods>,
    load: Arc<Load>,
    longest_message: usize,
}

impl Calls {
    /// Over these services, none of which decodes longer messages than this.
    pub(super) fn new(routes: Routes, limits: Limits, longest_message: usize) -> Self {
        Self {
            routes: routes.prepare(),
            methods: Arc::new(Methods::new()),
            load: Arc::new(Load::new(limits)),
            longest_message,
        }
    }

    /// What a connection that begins has not sent.
    pub(super) fn unsent(&self) -> Arc<Unsent> {
        self.load.unsent()
    }

    /// Answers a call of a connection that ends so and has this much unsent.
    pub(super) async fn answer<B>(
        self,
        request: Request<B>,
        ends: Shutdown,
        unsent: Arc<Unsent>,
    ) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let answer = self.answer_or_refuse(request, ends, unsent).await;
        Ok(answer.unwrap_or_else(|error| to_status(error).into_http()))
    }

    async fn answer_or_refuse<B>(
        self,
        mut request: Request<B>,
        ends: Shutdown,
        unsent: Arc<Unsent>,
    ) -> Result<Response<Body>, Error>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let kind = self.methods.kind(request.uri().path());
        if ends.draining.is_cancelled() && kind != Kind::Health {
            return Err(Error::Unavailable);
        }
        let deadline = Deadline::of(request.headers())?;
        let whose = Whose::default();
        match kind {
            Kind::Health => self.run(request, deadline, &ends, &whose, None).await,
            Kind::Read | Kind::Write | Kind::Waiting => {
                if !self.load.admits(kind) {
                    forget(request.into_body()).await;
                    return Err(Error::Overloaded);
                }
                // Here until the call has ended, in the body until it is read.
                let held = Held::default();
                let admission = Admission {
                    kind,
                    load: self.load.clone(),
                    unsent: unsent.clone(),
                    whose: whose.clone(),
                    held: held.clone(),
                };
                let request = request.map(|body| Received::new(body, admission));
                let answer = self.run(request, deadline, &ends, &whose, None).await?;
                let made = unsent.count(answer, &whose).await;
                drop(held);
                Ok(made.unwrap_or_else(Status::into_http))
            }
            Kind::Streaming | Kind::Open => {
                let deadline = match kind {
                    Kind::Open => deadline.at_most(OPEN_FOR),
                    _ => deadline,
                };
                let place = self.load.take_stream(kind).ok_or(Error::Overloaded)?;
                request.extensions_mut().insert(self.load.budget());
                let (load, pieces) = (self.load.clone(), self.load.pieces());
                let answer = self.run(request, deadline, &ends, &whose, Some(pieces));
                let answer = answer.await?;
                let share = load.take_share(&whose).ok_or(Error::Overloaded)?;
                let held = (place, share);
                Ok(answer.map(|body| Body::new(Answer::new(body, deadline, ends, held))))
            }
        }
    }

    async fn run<B>(
        mut self,
        mut request: Request<B>,
        deadline: Deadline,
        ends: &Shutdown,
        whose: &Whose,
        pieces: Option<Room>,
    ) -> Result<Response<Body>, Error>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        request.extensions_mut().insert(ends.clone());
        request.extensions_mut().insert(whose.clone());
        let longest = self.longest_message;
        let request = request.map(|body| Body::new(Whole::new(body, longest, pieces)));
        let call = async move { self.routes.call(request).await };
        tokio::select! {
            biased;
            answer = AssertUnwindSafe(call).catch_unwind() => match answer {
                Ok(Ok(answer)) => Ok(explained(answer)),
                Ok(Err(never)) => match never {},
                // The panic itself is logged where it happens.
                Err(_) => Err(Error::Internal("a call panicked".into())),
            },
            () = deadline.passed() => Err(Error::DeadlineExceeded),
            () = ends.cut_off.cancelled() => Err(Error::Unavailable),
        }
    }
}

#[cfg(test)]
mod tests;
