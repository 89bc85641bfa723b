//! What all lives of a process share: the disk, the clocks, the receivers' moods
//! and the history.

use std::sync::Arc;

use parking_lot::Mutex;
use postrider::{
    control::{AccessSettings, Control, Limits, QuotaSettings},
    domain::{Guard, KeyHasher, NewEvent, SubscriptionId, TenantId},
    resolve::{self, Resolver},
    storage::{Engine, embedded::Disk},
};

use super::{
    clock::Clocks,
    dice::SeededRandom,
    history::{Call, History, Outcome},
    plan::Plan,
    receivers::Moods,
};
use crate::support::root_keys;

pub struct Scene {
    pub plan: Plan,
    pub clocks: Arc<Clocks>,
    pub random: Arc<SeededRandom>,
    pub disk: Disk,
    pub history: Mutex<History>,
    pub moods: Mutex<Moods>,
    /// What the operator knows of subscriptions.
    pub places: Mutex<Vec<Place>>,
    /// What each tenant's publisher has yet to hear of.
    pub unheard: Mutex<Vec<(TenantId, Vec<NewEvent>)>>,
    /// Where each tenant's tail goes on.
    pub tokens: Mutex<std::collections::BTreeMap<TenantId, String>>,
}

/// A subscription as its owner knows it.
#[derive(Debug, Clone)]
pub struct Place {
    pub tenant: TenantId,
    pub number: usize,
    /// Known once its creation was acknowledged.
    pub id: Option<SubscriptionId>,
    pub deleted: bool,
    /// How often its URL was changed.
    pub moves: u64,
}

impl Place {
    /// Where it wants its deliveries. A public address, which nobody dials here.
    pub fn url(&self) -> String {
        format!("https://8.8.8.{}/{}", self.number, self.moves)
    }

    /// Makes its creation idempotent.
    pub fn request_id(&self) -> String {
        format!("subscription {}", self.number)
    }
}

/// The use cases, with a resolver that is never asked and nobody kept out.
pub fn control(store: Arc<dyn Engine>, clock: Arc<Clocks>, random: Arc<SeededRandom>) -> Control {
    let access = AccessSettings {
        keys_needed: false,
        hasher: KeyHasher::new(&root_keys()),
        admin: None,
        certificates: Vec::new(),
    };
    Control::new(
        store,
        clock,
        random,
        resolver(),
        Limits::default(),
        access,
        QuotaSettings::default(),
    )
}

fn resolver() -> Resolver {
    let settings = resolve::Settings {
        nameservers: vec![([127, 0, 0, 1], 9).into()],
        ..resolve::Settings::default()
    };
    Resolver::new(Guard::default(), &settings).unwrap()
}

impl Scene {
    pub fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            clocks: Arc::default(),
            random: Arc::new(SeededRandom::new(plan.seed)),
            disk: Disk::default(),
            history: Mutex::default(),
            moods: Mutex::new(Moods::new(&plan)),
            places: Mutex::default(),
            unheard: Mutex::default(),
            tokens: Mutex::default(),
            plan,
        })
    }

    pub fn tenants(&self) -> Vec<TenantId> {
        let names = (0..self.plan.tenants).map(|n| format!("tenant-{n}"));
        names.map(|name| name.parse().unwrap()).collect()
    }

    /// Notes a call where `list` says, before it is made.
    pub fn begin<W>(&self, what: W, list: impl Fn(&mut History) -> &mut Vec<Call<W>>) -> usize {
        let mut history = self.history.lock();
        let list = list(&mut history);
        list.push(Call {
            what,
            begin: self.clocks.moment(),
            end: None,
            outcome: Outcome::Unknown,
        });
        list.len() - 1
    }

    /// Notes what came of it.
    pub fn end<W>(
        &self,
        place: usize,
        outcome: Outcome,
        list: impl Fn(&mut History) -> &mut Vec<Call<W>>,
    ) {
        if outcome == Outcome::Unknown {
            return;
        }
        let mut history = self.history.lock();
        let call = &mut list(&mut history)[place];
        call.outcome = outcome;
        call.end = Some(self.clocks.moment());
    }
}
