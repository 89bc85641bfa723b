//! Subscriptions that come, change and go meanwhile.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use postrider::proto::{
    DeleteSubscriptionRequest, GetSubscriptionRequest, RotateSubscriptionSecretRequest,
    Subscription, UpdateSubscriptionRequest,
};
use tokio::time::sleep;
use tonic::{Code, Status};

use super::{Scene, fleet::Target, payload::TYPES, plan::Dice};
use crate::support::{Process, process::subscription};

/// Subscriptions that are not deleted again.
const STAYING: usize = 3;

/// What an acknowledged or a cut change may have made of a subscription.
#[derive(Debug, Default)]
struct Known {
    descriptions: Vec<String>,
    deleted: Option<bool>,
}

/// What is known of the subscriptions that change.
#[derive(Debug, Default)]
pub struct Churn {
    subscriptions: Mutex<HashMap<String, Known>>,
    rounds: AtomicU64,
    /// Secrets that may be the newest of the rotating subscription.
    secrets: Mutex<Vec<String>>,
    /// The subscription whose secret rotates.
    pub rotating: Mutex<String>,
}

impl Churn {
    /// Changes subscriptions until the server is gone or the load ends.
    pub async fn go_on(
        &self,
        scene: &Scene,
        target: &Target,
        mut dice: Dice,
    ) -> Result<(), Status> {
        let server = &*target.server;
        for id in self.half_deleted() {
            self.delete(server, &id).await?;
        }
        while !target.ending.is_cancelled() {
            let id = self.create(scene, server).await?;
            for _ in 0..=dice.below(3) {
                self.update(server, &id, dice.throw()).await?;
                self.rotate(server, dice.throw()).await?;
                sleep(Duration::from_millis(15)).await;
            }
            if self.staying() > STAYING {
                self.delete(server, &id).await?;
            }
        }
        Ok(())
    }

    async fn create(&self, scene: &Scene, server: &Process) -> Result<String, Status> {
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let path = format!("/churned/{round}");
        let wanted = Subscription {
            events: vec![TYPES[1].to_owned()],
            description: format!("created in round {round}"),
            max_in_flight: super::IN_FLIGHT,
            ..subscription(scene.receiver.url(&path), &[50; 20])
        };
        let request = postrider::proto::CreateSubscriptionRequest {
            subscription: Some(wanted.clone()),
            ..Default::default()
        };
        let reply = server.subscriptions().create_subscription(request).await?;
        let id = reply.into_inner().id;
        let known = Known {
            descriptions: vec![wanted.description],
            deleted: None,
        };
        self.subscriptions.lock().unwrap().insert(id.clone(), known);
        Ok(id)
    }

    async fn update(&self, server: &Process, id: &str, n: u64) -> Result<(), Status> {
        let description = format!("changed to {n}");
        self.knows(id, |known| known.descriptions.push(description.clone()));
        let request = UpdateSubscriptionRequest {
            subscription: Some(Subscription {
                id: id.to_owned(),
                description: description.clone(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["description".to_owned()],
            }),
            ..Default::default()
        };
        server.subscriptions().update_subscription(request).await?;
        self.knows(id, |known| known.descriptions = vec![description]);
        Ok(())
    }

    async fn rotate(&self, server: &Process, n: u64) -> Result<(), Status> {
        let secret = format!("rotated-secret-{n:020}");
        self.secrets.lock().unwrap().push(secret.clone());
        let request = RotateSubscriptionSecretRequest {
            id: self.rotating.lock().unwrap().clone(),
            secret: secret.clone(),
            overlap: Some(prost_types::Duration::default()),
            ..Default::default()
        };
        let mut subscriptions = server.subscriptions();
        subscriptions.rotate_subscription_secret(request).await?;
        *self.secrets.lock().unwrap() = vec![secret];
        Ok(())
    }

    async fn delete(&self, server: &Process, id: &str) -> Result<(), Status> {
        self.knows(id, |known| known.deleted = Some(false));
        let request = DeleteSubscriptionRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        match server.subscriptions().delete_subscription(request).await {
            Err(status) if status.code() != Code::NotFound => return Err(status),
            _ => {}
        }
        self.knows(id, |known| known.deleted = Some(true));
        Ok(())
    }

    /// Those whose deletion was cut.
    fn half_deleted(&self) -> Vec<String> {
        let all = self.subscriptions.lock().unwrap();
        let half = all.iter().filter(|(_, known)| known.deleted == Some(false));
        half.map(|(id, _)| id.clone()).collect()
    }

    fn staying(&self) -> usize {
        let all = self.subscriptions.lock().unwrap();
        all.values().filter(|known| known.deleted.is_none()).count()
    }

    fn knows(&self, id: &str, change: impl FnOnce(&mut Known)) {
        change(self.subscriptions.lock().unwrap().get_mut(id).unwrap());
    }

    /// Secrets of which one is the newest.
    pub fn secrets(&self) -> Vec<String> {
        self.secrets.lock().unwrap().clone()
    }

    /// Compares every subscription with what was acknowledged of it, and
    /// returns how many there were.
    pub async fn check(&self, server: &Process) -> usize {
        let all = std::mem::take(&mut *self.subscriptions.lock().unwrap());
        for (id, known) in &all {
            let request = GetSubscriptionRequest { id: id.clone() };
            match server.subscriptions().get_subscription(request).await {
                Ok(found) => {
                    let found = found.into_inner().description;
                    assert!(known.descriptions.contains(&found), "{id}: {found:?}");
                    assert_ne!(known.deleted, Some(true), "{id} came back");
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::NotFound, "{status:?}");
                    assert!(known.deleted.is_some(), "{id} is lost");
                }
            }
        }
        all.len()
    }
}
