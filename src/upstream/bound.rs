//! A number of places of which some are taken, and which can change meanwhile.
//!
//! Where it becomes smaller than what is taken, what comes back is gone until it fits. Nobody who
//! waits is passed over: it is a semaphore inside.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Semaphore, SemaphorePermit};

const NEVER_CLOSED: &str = "no semaphore of this module is ever closed";

/// So many places.
#[derive(Debug)]
pub(super) struct Bound {
    free: Semaphore,
    size: Mutex<usize>,
    /// How many of those that are taken are gone once they come back.
    owed: AtomicUsize,
}

/// One place, as long as this is kept.
#[derive(Debug)]
pub(super) struct Taken(Arc<Bound>);

impl Bound {
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Semaphore::new(size),
            size: Mutex::new(size),
            owed: AtomicUsize::new(0),
        })
    }

    /// Makes it as large as this, at once or as places come back.
    pub(super) fn resize(&self, size: usize) {
        let mut now = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let more = size.saturating_sub(*now);
        let fewer = now.saturating_sub(size);
        if more > 0 {
            let forgiven = self.forgive(more);
            self.free.add_permits(more - forgiven);
        }
        let gone = self.free.forget_permits(fewer);
        self.owed.fetch_add(fewer - gone, Ordering::AcqRel);
        *now = size;
    }

    /// A place, if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Taken> {
        let permit = self.free.try_acquire().ok()?;
        Some(self.taken(permit))
    }

    /// A place, once one is free; first come, first served.
    pub(super) async fn take(self: &Arc<Self>) -> Taken {
        let permit = self.free.acquire().await.expect(NEVER_CLOSED);
        self.taken(permit)
    }

    /// Whether every place is taken.
    pub(super) fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// In place of a permit, which would be twice as large, and would come back whatever is owed.
    fn taken(self: &Arc<Self>, permit: SemaphorePermit<'_>) -> Taken {
        permit.forget();
        Taken(Arc::clone(self))
    }

    /// Takes back as much as that of what is owed; says how much that was.
    fn forgive(&self, most: usize) -> usize {
        let less = |owed: usize| Some(owed.saturating_sub(most));
        let before = self
            .owed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        before.unwrap_or_default().min(most)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.0.forgive(1) == 0 {
            self.0.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many as there are.
    fn all(bound: &Arc<Bound>) -> Vec<Taken> {
        std::iter::from_fn(|| bound.try_take()).collect()
    }

    #[test]
    fn a_bound_that_shrinks_gets_back_to_its_size_as_places_come_back() {
        let bound = Bound::new(4);
        let mut taken = all(&bound);
        assert_eq!(taken.len(), 4);
        bound.resize(2);
        for left in [3, 2] {
            taken.pop();
            assert!(bound.is_full(), "{left} are taken");
        }
        taken.pop();
        assert_eq!(all(&bound).len(), 1);
        taken.clear();
        assert_eq!(all(&bound).len(), 2);
    }

    #[test]
    fn a_bound_that_grows_again_owes_nothing() {
        let bound = Bound::new(4);
        let taken = all(&bound);
        bound.resize(1);
        bound.resize(3);
        assert!(bound.is_full());
        bound.resize(6);
        assert_eq!(all(&bound).len(), 2);
        drop(taken);
        assert_eq!(all(&bound).len(), 6);
        bound.resize(0);
        assert!(bound.try_take().is_none());
    }
}
