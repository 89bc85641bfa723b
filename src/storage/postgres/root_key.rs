//! Which keys a process must have that opens the store.

use deadpool_postgres::GenericClient;

use super::{
    error::{from_pg, unreadable},
    state::State,
};
use crate::{
    domain::{Keyring, SealId},
    storage::{
        Error, Result,
        row::{SEALED_LAYOUT, Unreadable},
    },
};

/// Says by which key is sealed from now on, unless another one is said to be
/// that is not on this ring, and something was kept under it or still may be.
pub(super) async fn mark(client: &impl GenericClient, keyring: &Keyring) -> Result<()> {
    let newest = keyring.sealing().to_bytes();
    let known: Vec<_> = keyring.ids().map(SealId::to_bytes).collect();
    let known: Vec<&[u8]> = known.iter().map(<[u8; _]>::as_slice).collect();
    let mark = "INSERT INTO root_key (id) VALUES ($1)
        ON CONFLICT (is_only) DO UPDATE SET id = $1
        WHERE root_key.id = ANY($2) OR NOT EXISTS (
            SELECT FROM subscription WHERE content IS NOT NULL
            UNION ALL SELECT FROM api_key
            UNION ALL SELECT FROM member WHERE until >= now())";
    let marked = client.execute(mark, &[&newest.as_slice(), &known]).await;
    marked.map(drop).map_err(from_pg)
}

impl State {
    /// Fails if secrets were sealed under a key that this process does not have.
    pub(super) async fn expect_keys(&self) -> Result<()> {
        let client = self.own_connection().await?;
        let sealed = i32::from(SEALED_LAYOUT);
        let rows = client
            .query(
                "SELECT DISTINCT substring(content FROM 2 FOR 8) AS key FROM subscription
             WHERE content IS NOT NULL AND get_byte(content, 0) >= $1",
                &[&sealed],
            )
            .await;
        for row in rows.map_err(from_pg)? {
            self.expect(row.get("key"))?;
        }
        Ok(())
    }

    /// Says by which key this process seals; fails where [`mark`] does not.
    pub(super) async fn mark_key(&self) -> Result<()> {
        mark(&self.own_connection().await?, &self.keyring).await?;
        self.expect_mark().await
    }

    /// Fails if a process came that seals by a key which this one does not have.
    pub(super) async fn expect_mark(&self) -> Result<()> {
        self.expect_mark_in(&self.own_connection().await?).await
    }

    /// The same within a transaction that is about to seal something: nobody
    /// marks the store anew until it ends.
    pub(super) async fn expect_mark_in(&self, client: &impl GenericClient) -> Result<()> {
        let marked = client.query_one("SELECT id FROM root_key FOR SHARE", &[]);
        self.expect(marked.await.map_err(from_pg)?.get("id"))
    }

    fn expect(&self, key: &[u8]) -> Result<()> {
        let key = key.try_into();
        let key = key.map_err(|_| unreadable("root key")(Unreadable::Malformed))?;
        let key = SealId::from_bytes(key);
        if self.keyring.knows(key) {
            Ok(())
        } else {
            Err(Error::Sealed(key))
        }
    }
}
