// SPDX-License-Identifier: GPL-2.0-only
//! All interleavings, up to loom's bounds, of what runs at the same time in the kernel: charges and
//! uncharges, the last reference and the last charge, lookup by id, and the reaper.
//!
//! Run by `tests/host/loom`, with `--cfg loom`.
#![cfg(loom)]

use bc_policy::policy::counter::{Charged, Counter, Limits, Severity};
use bc_policy::policy::lifetime::{Lifetime, Put};
use loom::sync::{Arc, Mutex};
use loom::thread;

fn bounded(barrier: u64, limit: u64) -> Arc<Counter> {
    let counter = Counter::new();
    counter.set_limits(Limits::new(barrier, limit).unwrap());
    Arc::new(counter)
}

/// Runs `a` and `b` at the same time.
fn both<A: Send + 'static, B>(
    a: impl FnOnce() -> A + Send + 'static,
    b: impl FnOnce() -> B,
) -> (A, B) {
    let thread = thread::spawn(a);
    let b = b();
    (thread.join().unwrap(), b)
}

#[test]
fn what_fits_is_never_refused() {
    loom::model(|| {
        let counter = bounded(3, 3);
        let other = counter.clone();
        let (a, b) = both(
            move || other.charge(2, Severity::Barrier),
            || counter.charge(1, Severity::Limit),
        );
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(counter.statistics().held, 3);
        assert_eq!(counter.statistics().maxheld, 3);
    });
}

#[test]
fn what_fits_beside_an_uncharge_is_never_refused() {
    loom::model(|| {
        let counter = bounded(2, 2);
        assert!(counter.charge(1, Severity::Barrier).is_ok());
        let other = counter.clone();
        // One comes and goes beside one that stays and another one: two at most.
        let (a, b) = both(
            move || other.uncharge(1),
            || counter.charge(1, Severity::Barrier),
        );
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(counter.statistics().held, 1);
    });
}

#[test]
fn the_last_place_is_given_once() {
    loom::model(|| {
        let counter = bounded(1, 1);
        let other = counter.clone();
        let (a, b) = both(
            move || other.charge(1, Severity::Barrier).is_ok(),
            || counter.charge(1, Severity::Barrier).is_ok(),
        );
        assert!(a != b);
        let stat = counter.statistics();
        assert_eq!((stat.held, stat.maxheld), (1, 1));
    });
}

#[test]
fn forced_charges_explain_what_is_above_the_limit() {
    loom::model(|| {
        let counter = bounded(1, 1);
        let other = counter.clone();
        let (_, b) = both(
            move || other.charge(2, Severity::Force),
            || counter.charge(1, Severity::Limit).is_ok(),
        );
        let stat = counter.statistics();
        assert_eq!(stat.held, 2 + u64::from(b));
        assert_eq!(stat.maxheld, stat.held);
        assert!(stat.maxheld <= 1 + stat.forced);
    });
}

#[test]
fn the_barrier_is_crossed_once() {
    loom::model(|| {
        let counter = bounded(1, 9);
        let other = counter.clone();
        let (a, b) = both(
            move || other.charge(1, Severity::Limit),
            || counter.charge(1, Severity::Limit),
        );
        let crossed = [a, b]
            .iter()
            .filter(|c| **c == Ok(Charged::CrossedBarrier))
            .count();
        assert_eq!(crossed, 1);
        assert_eq!(counter.statistics().barrier_hits, 1);
    });
}

#[test]
fn refusals_are_all_counted() {
    loom::model(|| {
        let counter = bounded(0, 0);
        let other = counter.clone();
        both(move || other.count_refusal(), || counter.count_refusal());
        assert_eq!(counter.statistics().failcnt, 2);
    });
}

#[test]
fn watermarks_enclose_what_is_held() {
    loom::model(|| {
        let counter = bounded(9, 9);
        assert!(counter.charge(2, Severity::Barrier).is_ok());
        let other = counter.clone();
        both(
            move || {
                assert!(other.charge(1, Severity::Barrier).is_ok());
                assert_eq!(other.uncharge(2), Ok(1));
            },
            || counter.reset_watermarks(),
        );
        let stat = counter.statistics();
        assert_eq!(stat.held, 1);
        assert!(stat.minheld <= 1 && stat.maxheld >= 1);
    });
}

#[test]
fn nothing_is_lost_while_limits_change() {
    loom::model(|| {
        let counter = bounded(2, 2);
        assert!(counter.charge(1, Severity::Barrier).is_ok());
        let other = counter.clone();
        let (a, ()) = both(
            move || other.charge(1, Severity::Barrier).is_ok(),
            || counter.set_limits(Limits::new(1, 1).unwrap()),
        );
        assert_eq!(counter.statistics().held, 1 + u64::from(a));
        // From now on the new limits hold.
        assert!(counter.charge(1, Severity::Limit).is_err());
    });
}

/// A beancounter with a registry and a reaper, as those of the kernel.
struct World {
    life: Lifetime,
    counter: Counter,
    /// Whether the id is known: the registry's lock.
    known: Mutex<bool>,
    /// How often it is in the reaper's queue.
    queued: Mutex<u32>,
}

impl World {
    /// With one reference, and `charged` charged.
    fn new(charged: u64) -> Arc<Self> {
        let world = World {
            life: Lifetime::new(),
            counter: Counter::new(),
            known: Mutex::new(true),
            queued: Mutex::new(0),
        };
        assert!(world.counter.charge(charged, Severity::Barrier).is_ok());
        Arc::new(world)
    }

    fn after(&self, put: Put) {
        if put == Put::Queue {
            let mut queued = self.queued.lock().unwrap();
            *queued += 1;
            assert_eq!(*queued, 1, "in the queue twice");
        }
    }

    fn put(&self) {
        self.after(self.life.put());
    }

    fn uncharge(&self, n: u64) {
        if self.counter.uncharge(n) == Ok(0) && self.life.is_idle() {
            self.after(self.life.queue());
        }
    }

    fn find(&self) -> bool {
        let known = self.known.lock().unwrap();
        if *known {
            self.life.find();
        }
        *known
    }

    /// One look of the reaper.
    fn reap(&self) {
        let found = std::mem::take(&mut *self.queued.lock().unwrap());
        if found == 0 {
            return;
        }
        let mut known = self.known.lock().unwrap();
        self.life.dequeue();
        if self.life.claim(|| self.counter.held() != 0) {
            assert!(*known, "freed twice");
            assert_eq!(self.counter.held(), 0);
            *known = false;
        }
    }

    fn is_gone(&self) -> bool {
        while *self.queued.lock().unwrap() != 0 {
            self.reap();
        }
        !*self.known.lock().unwrap()
    }
}

#[test]
fn last_reference_and_last_charge() {
    loom::model(|| {
        let world = World::new(1);
        let other = world.clone();
        both(move || other.put(), || world.uncharge(1));
        assert!(world.is_gone());
    });
}

#[test]
fn last_two_references() {
    loom::model(|| {
        let world = World::new(0);
        world.life.get();
        let other = world.clone();
        both(move || other.put(), || world.put());
        assert!(world.is_gone());
    });
}

#[test]
fn last_two_charges() {
    loom::model(|| {
        let world = World::new(2);
        world.put();
        let other = world.clone();
        both(move || other.uncharge(1), || world.uncharge(1));
        assert!(world.is_gone());
    });
}

#[test]
fn found_while_the_last_reference_goes() {
    loom::model(|| {
        let world = World::new(0);
        let other = world.clone();
        let (found, ()) = both(
            move || {
                let found = other.find();
                if found {
                    assert!(*other.known.lock().unwrap());
                    other.put();
                }
                found
            },
            || world.put(),
        );
        assert!(found);
        assert!(world.is_gone());
    });
}

#[test]
fn found_while_the_reaper_looks() {
    loom::model(|| {
        let world = World::new(0);
        world.put();
        let other = world.clone();
        let (found, ()) = both(move || other.find(), || world.reap());
        if found {
            assert!(!world.is_gone());
            world.put();
        }
        assert!(world.is_gone());
    });
}

#[test]
fn last_charge_while_the_reaper_looks() {
    loom::model(|| {
        let world = World::new(1);
        world.put();
        let other = world.clone();
        both(move || other.uncharge(1), || world.reap());
        assert!(world.is_gone());
    });
}

#[test]
fn last_reference_charge_and_the_reaper() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let world = World::new(1);
        let (a, b) = (world.clone(), world.clone());
        let put = thread::spawn(move || a.put());
        let uncharge = thread::spawn(move || b.uncharge(1));
        world.reap();
        put.join().unwrap();
        uncharge.join().unwrap();
        assert!(world.is_gone());
    });
}

#[test]
fn limits_set_and_unpinned() {
    loom::model(|| {
        let world = World::new(0);
        let other = world.clone();
        both(
            move || {
                assert!(other.find());
                {
                    let _registry = other.known.lock().unwrap();
                    other.life.configure();
                }
                other.put();
            },
            || world.put(),
        );
        assert!(!world.is_gone());
        {
            let _registry = world.known.lock().unwrap();
            world.after(world.life.unconfigure());
        }
        assert!(world.is_gone());
    });
}
