//! Reading ahead: while a rebuild writes one page, the next ones are read, opened and decoded on threads of
//! their own. Positions are gapless, so it is known beforehand where each page begins.

use std::collections::VecDeque;
use std::sync::Arc;

use event_log::reader::ReadError;
use tokio::task::JoinHandle;

use crate::fact::Fact;
use crate::projector::{Given, Parts};
use crate::threads::{joined, on_a_thread};

/// Most events of a page of a rebuild.
pub(crate) const BULK: i64 = 2_000;
/// Pages being read while one is written.
const AHEAD: usize = 1;

/// Where a page that begins after a position ends: rebuilds that run side by side meet there.
pub(crate) fn end_of_page(after: i64) -> i64 {
    (after / BULK + 1) * BULK
}

/// Pages that are read or being read.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    readers: Vec<&'static str>,
    pages: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    after: i64,
    to: i64,
    page: JoinHandle<Result<Vec<Fact>, ReadError>>,
}

impl Ahead {
    /// The events after a position up to `to`, opened where one of these reads them; begins to read
    /// what comes after, as far as `head`.
    pub(crate) async fn page(
        &mut self,
        parts: &Parts,
        given: &[Given],
        (after, to): (i64, i64),
        head: i64,
    ) -> Result<Arc<Vec<Fact>>, ReadError> {
        let readers: Vec<&'static str> = given.iter().map(|one| one.projection.name()).collect();
        let next = self.pages.front().map(|page| (page.after, page.to));
        if readers != self.readers || next.is_some_and(|next| next != (after, to)) {
            self.pages.clear();
            self.readers = readers;
        }
        let mut end = self.pages.back().map_or(after, |page| page.to);
        while self.pages.len() <= AHEAD {
            let next = if end == after { to } else { end_of_page(end) };
            if next > head || next <= end {
                break;
            }
            self.pages.push_back(read(parts, given, end, next));
            end = next;
        }
        match self.pages.pop_front() {
            None => Ok(Arc::default()),
            Some(pending) => joined(pending.page)
                .await
                .unwrap_or_else(|| Err(sqlx::Error::WorkerCrashed.into()))
                .map(Arc::new),
        }
    }

    /// Lets go of what nobody will ask for.
    pub(crate) fn clear(&mut self) {
        self.pages.clear();
    }
}

fn read(parts: &Parts, given: &[Given], after: i64, to: i64) -> Pending {
    let (parts, given) = (parts.clone(), given.to_vec());
    let page = on_a_thread(async move || {
        let page = parts.reader.page(after, to, to - after).await?;
        parts.open(page, &given).await
    });
    Pending { after, to, page }
}
