//! What a run needs around it: a server, a receiver, and a folder for the data.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tonic::{
    Request,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use super::{Args, events::EVENT_TYPE};
use crate::{
    cli::child::{Receiver, ScratchFolder, Server, any_address, free_address},
    proto::{
        CreateSubscriptionRequest, DeleteSubscriptionRequest, DisableSubscriptionRequest,
        EnableSubscriptionRequest, Subscription, delivery_service_client::DeliveryServiceClient,
        subscription_service_client::SubscriptionServiceClient,
    },
};

/// Secret of the run's subscriptions.
pub(super) const SECRET: &str = "whsec_cG9zdHJpZGVyLWJlbmNoLW5vdC1hLXNlY3JldA==";

/// A server to load and a receiver to deliver to.
pub(super) struct Rig {
    server: Option<Server>,
    server_pid: Option<u32>,
    /// One, or several that share a store.
    targets: Vec<Endpoint>,
    data_dir: Option<PathBuf>,
    receiver: Option<Receiver>,
    /// What was created, and for whom.
    subscriptions: Vec<(Option<&'static str>, String)>,
    scratch: Option<ScratchFolder>,
}

impl Rig {
    /// Starts what was not given.
    pub(super) async fn start(args: &Args) -> anyhow::Result<Self> {
        let mut rig = if args.target.is_empty() {
            Self::own(args).await?
        } else {
            Self::around(args)?
        };
        if !args.publish_only {
            let delay = format!("--delay={}ms", args.answer_after().as_millis());
            let verify: &[&str] = if args.no_verify {
                &[&delay, "--no-verify"]
            } else {
                &[&delay, "--secret", SECRET]
            };
            rig.receiver = Some(Receiver::start(verify).await?);
        }
        Ok(rig)
    }

    /// Process of the server, if it is known.
    pub(super) fn server_pid(&self) -> Option<u32> {
        self.server_pid
    }

    /// Where the server keeps its data, if it is known.
    pub(super) fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// The receiver, unless only publishing is measured.
    pub(super) fn receiver(&self) -> Option<&Receiver> {
        self.receiver.as_ref()
    }

    /// Opens so many connections.
    pub(super) async fn connect(&self, connections: usize) -> anyhow::Result<Vec<Channel>> {
        let mut channels = Vec::with_capacity(connections);
        for target in self.targets.iter().cycle().take(connections) {
            let channel = target.connect().await;
            channels.push(channel.with_context(|| format!("no server at {}", target.uri()))?);
        }
        Ok(channels)
    }

    /// Subscribes the receiver's paths `/0`, `/1` and so on.
    pub(super) async fn subscribe(&mut self, args: &Args) -> anyhow::Result<()> {
        let Some(receiver) = &self.receiver else {
            return Ok(());
        };
        let in_flight = args.in_flight.unwrap_or(args.concurrency).clamp(1, 1024);
        let wanted = (0..args.fan_out)
            .map(|path| Subscription {
                url: format!("{}/{path}", receiver.url()),
                max_in_flight: u32::try_from(in_flight).expect("it was clamped"),
                ..subscription_to(EVENT_TYPE)
            })
            .collect();
        self.create(wanted).await?;
        Ok(())
    }

    /// Creates subscriptions, which are removed when the rig stops, and returns
    /// their ids.
    pub(super) async fn create(
        &mut self,
        subscriptions: Vec<Subscription>,
    ) -> anyhow::Result<Vec<String>> {
        self.create_for(None, subscriptions).await
    }

    /// Creates subscriptions of a tenant.
    pub(super) async fn create_for(
        &mut self,
        tenant: Option<&'static str>,
        subscriptions: Vec<Subscription>,
    ) -> anyhow::Result<Vec<String>> {
        let before = self.subscriptions.len();
        let mut client = self.client().await?;
        for subscription in subscriptions {
            let request = CreateSubscriptionRequest {
                subscription: Some(subscription),
                ..CreateSubscriptionRequest::default()
            };
            let created = client
                .create_subscription(for_tenant(tenant, request))
                .await
                .context("the server refuses to call receivers on 127.0.0.1: it needs delivery.allow = \"127.0.0.0/8\"")?;
            self.subscriptions.push((tenant, created.into_inner().id));
        }
        let created = self.subscriptions[before..].iter();
        Ok(created.map(|(_, id)| id.clone()).collect())
    }

    /// Enables or disables subscriptions.
    pub(super) async fn switch(
        &self,
        tenant: Option<&'static str>,
        ids: &[String],
        on: bool,
    ) -> anyhow::Result<()> {
        let mut client = self.client().await?;
        for id in ids.iter().cloned() {
            if on {
                let request = EnableSubscriptionRequest { id };
                client
                    .enable_subscription(for_tenant(tenant, request))
                    .await?;
            } else {
                let message = "a calm phase".to_owned();
                let request = DisableSubscriptionRequest { id, message };
                client
                    .disable_subscription(for_tenant(tenant, request))
                    .await?;
            }
        }
        Ok(())
    }

    /// A client that looks at deliveries.
    pub(super) async fn deliveries(&self) -> anyhow::Result<DeliveryServiceClient<Channel>> {
        let channel = self.connect(1).await?.remove(0);
        Ok(DeliveryServiceClient::new(channel))
    }

    /// Removes what the run made and ends what it started.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let removed = match self.scratch {
            Some(_) => Ok(()),
            None => self.unsubscribe().await,
        };
        if let Some(server) = self.server {
            server.stop().await?;
        }
        removed
    }

    async fn unsubscribe(&mut self) -> anyhow::Result<()> {
        let mut client = self.client().await?;
        for (tenant, id) in self.subscriptions.drain(..) {
            let request = DeleteSubscriptionRequest {
                id,
                etag: String::new(),
            };
            client
                .delete_subscription(for_tenant(tenant, request))
                .await?;
        }
        Ok(())
    }

    async fn client(&self) -> anyhow::Result<SubscriptionServiceClient<Channel>> {
        let channel = self.connect(1).await?.remove(0);
        Ok(SubscriptionServiceClient::new(channel))
    }

    async fn own(args: &Args) -> anyhow::Result<Self> {
        let scratch = match &args.data_dir {
            Some(_) => None,
            None => Some(ScratchFolder::create("postrider-bench")?),
        };
        let temporary = scratch.as_ref().map(|folder| folder.path().to_owned());
        let data_dir = args
            .data_dir
            .clone()
            .or(temporary)
            .expect("one of them is there");
        let address = free_address(any_address())?;
        let server = Server::start(&data_dir, address).await?;
        Ok(Self {
            server_pid: server.pid(),
            targets: vec![endpoint(&url_of(server.address()))?],
            server: Some(server),
            data_dir: Some(data_dir),
            receiver: None,
            subscriptions: Vec::new(),
            scratch,
        })
    }

    fn around(args: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            server: None,
            server_pid: args.server_pid,
            targets: args
                .target
                .iter()
                .map(|url| endpoint(url))
                .collect::<Result<_, _>>()?,
            data_dir: args.data_dir.clone(),
            receiver: None,
            subscriptions: Vec::new(),
            scratch: None,
        })
    }
}

/// What all subscriptions of a run have in common.
pub(super) fn subscription_to(event_type: &str) -> Subscription {
    Subscription {
        events: vec![event_type.to_owned()],
        secret: SECRET.to_owned(),
        description: "made by postrider bench".to_owned(),
        ..Subscription::default()
    }
}

/// The request, made for a tenant if one is named.
pub(super) fn for_tenant<T>(tenant: Option<&'static str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(tenant) = tenant {
        let named = MetadataValue::from_static(tenant);
        request.metadata_mut().insert("postrider-tenant", named);
    }
    request
}

fn endpoint(url: &str) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("{url} is not a URL such as http://127.0.0.1:50051"))?;
    Ok(endpoint
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20))
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}
