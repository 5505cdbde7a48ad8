// SPDX-License-Identifier: GPL-2.0-only
//! Random steps, done by processes and by the model.

use crate::maps;
use crate::worker::{self, Dead, PAGE, SLOTS, WINDOW, Worker};
use beancounter::{
    BcId, LimitFlags, Limits, PidHandle, Resource, SetFlags, Stat, StatFlags, get_bcstat, set_bcid,
    set_bclimit, unpin,
};
use privvm::model::{
    self, Access, Advice, BCS, Bc, Counters, Errno, HEAP, HOST, Kind, Mapping, Outcome, Remap,
    Space,
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;

/// The ids of the beancounters follow this one.
const FIRST: u32 = 7_700;

/// More than all processes together can map.
const PLENTY: u64 = 1 << 20;

type Failure = Box<dyn std::error::Error>;

fn id(bc: Bc) -> Result<BcId, Failure> {
    Ok(BcId::new(if bc == HOST { 0 } else { FIRST + bc as u32 })?)
}

fn stat(bc: Bc) -> Result<Stat, Failure> {
    Ok(get_bcstat(
        id(bc)?,
        Resource::PrivVmPages,
        StatFlags::empty(),
    )?)
}

/// Barrier and limit are one: what `execve()` charges is charged up to the limit.
fn limit(bc: Bc, pages: u64) -> Result<(), Failure> {
    let limits = Limits::new(pages, pages)?;
    Ok(set_bclimit(
        id(bc)?,
        Resource::PrivVmPages,
        limits,
        LimitFlags::empty(),
    )?)
}

fn enter(bc: Bc, worker: &Worker) -> Result<(), Failure> {
    Ok(set_bcid(
        id(bc)?,
        &PidHandle::open(worker.pid())?,
        SetFlags::empty(),
    )?)
}

/// What comes of `execve()` where there is room for so many pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exec {
    Fails(i64),
    Kills,
    Works,
}

/// A process.
struct Process {
    worker: Worker,
    bc: Bc,
    space: Space,
    /// Where the heap begins that is used at will.
    heap: usize,
}

/// What has been done, and how often it was refused.
#[derive(Default)]
struct Done {
    times: u64,
    refused: u64,
}

/// By how many pages kernel and model are made to differ.
#[derive(Clone, Copy, Debug, Default)]
pub struct Planted {
    /// In a limit.
    pub limit: u64,
    /// In a heap that is not empty.
    pub page: usize,
}

struct Driver {
    planted: Planted,
    rng: ChaCha8Rng,
    file: i32,
    mailboxes: i32,
    counters: Counters,
    processes: Vec<Process>,
    /// By the number of pages that there is room for: the outcome and how many refusals it has.
    execs: Vec<(Exec, u64)>,
    /// How many pages an executed program has.
    program: usize,
    done: BTreeMap<&'static str, Done>,
    step: u64,
    log: Vec<String>,
}

fn range(start: usize, len: usize) -> Range<usize> {
    start..start + len
}

fn address(page: usize) -> u64 {
    (WINDOW + page * PAGE) as u64
}

fn bytes(pages: usize) -> u64 {
    (pages * PAGE) as u64
}

fn prot(access: Access) -> u64 {
    (match access {
        Access::None => libc::PROT_NONE,
        Access::Read => libc::PROT_READ,
        Access::Write => libc::PROT_READ | libc::PROT_WRITE,
    }) as u64
}

fn outcome(result: i64) -> Result<Outcome, Failure> {
    match -result {
        n if n <= 0 => Ok(Ok(())),
        n if n == i64::from(libc::ENOMEM) => Ok(Err(Errno::Nomem)),
        n if n == i64::from(libc::EFAULT) => Ok(Err(Errno::Fault)),
        n if n == i64::from(libc::EINVAL) => Ok(Err(Errno::Inval)),
        n => Err(format!("errno {n}, which nothing foretells").into()),
    }
}

fn dead(Dead: Dead) -> Failure {
    "a process died".into()
}

impl Driver {
    fn new(seed: u64, planted: Planted) -> Result<Self, Failure> {
        // SAFETY: The name ends with a NUL.
        let file = unsafe { libc::memfd_create(c"file".as_ptr(), 0) };
        // SAFETY: Takes no pointers.
        if file < 0 || unsafe { libc::ftruncate(file, bytes(model::WINDOW) as i64) } != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        // Nobody waits for children.
        // SAFETY: There is no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        Ok(Driver {
            planted,
            rng: ChaCha8Rng::seed_from_u64(seed),
            file,
            mailboxes: worker::share(None)?,
            counters: Counters::new(),
            processes: Vec::new(),
            execs: Vec::new(),
            program: 0,
            done: BTreeMap::new(),
            step: 0,
            log: Vec::new(),
        })
    }

    /// A process without anything in its window, which has not been counted so far.
    fn start(&self, slot: usize, bc: Bc) -> Result<Process, Failure> {
        let worker = Worker::start(slot)?;
        let mut process = Process {
            worker,
            bc,
            space: Space::new(bc, 0),
            heap: 0,
        };
        self.look(&mut process)?;
        enter(bc, &process.worker)?;
        Ok(process)
    }

    /// Finds out where the heap begins, and how large the program is.
    fn look(&self, process: &mut Process) -> Result<usize, Failure> {
        let end = process.worker.call(libc::SYS_brk, [0; 6]).map_err(dead)? as usize;
        process.heap = end.next_multiple_of(PAGE);
        let program = maps::read(process.worker.pid(), process.heap)?.program;
        process.space.program[HOST] = program;
        Ok(program)
    }

    /// Learns what `execve()` needs: the same at each time.
    fn learn(&mut self) -> Result<(), Failure> {
        limit(1, PLENTY)?;
        for room in 0.. {
            let mut process = self.start(0, 1)?;
            limit(1, room)?;
            let before = stat(1)?;
            if before.held != 0 {
                return Err(format!("{} pages are held by nobody", before.held).into());
            }
            let exec = match process.worker.exec(self.mailboxes) {
                Ok(0) => Exec::Works,
                Ok(err) => Exec::Fails(err),
                Err(Dead) => Exec::Kills,
            };
            let refusals = stat(1)?.failcnt - before.failcnt;
            self.execs.push((exec, refusals));
            // With a little less there may be something that it can do without.
            if exec == Exec::Works && refusals == 0 {
                self.program = self.look(&mut process)?;
                break;
            }
            if room > 10_000 {
                return Err("no room is enough to execute a program".into());
            }
        }
        let kills = self
            .execs
            .iter()
            .filter(|exec| exec.0 == Exec::Kills)
            .count();
        println!(
            "# a program needs {} pages to start, and has {}; with less than {} it is not begun",
            self.execs.len() - 1,
            self.program,
            self.execs.len() - 1 - kills
        );
        for bc in 1..=BCS {
            limit(bc, PLENTY)?;
            self.counters.set_barrier(bc, PLENTY);
        }
        self.counters.set_failcnt(1, stat(1)?.failcnt);
        Ok(())
    }

    fn access(&mut self) -> Access {
        *[
            Access::None,
            Access::Read,
            Access::Write,
            Access::Write,
            Access::Write,
        ]
        .choose(&mut self.rng)
        .unwrap_or(&Access::Write)
    }

    fn any(&mut self) -> Range<usize> {
        let len = match self.rng.random_range(0..4) {
            0 => 1,
            1 => self.rng.random_range(1..=8),
            _ => self.rng.random_range(1..=model::WINDOW / 3),
        };
        range(self.rng.random_range(0..=model::WINDOW - len), len)
    }

    /// A range that often has something to do with the borders of what is mapped.
    fn near(&mut self, borders: &[Range<usize>]) -> Range<usize> {
        let Some(vma) = borders.choose(&mut self.rng).cloned() else {
            return self.any();
        };
        match self.rng.random_range(0..5) {
            0 => vma,
            1 => vma.start..self.rng.random_range(vma.start + 1..=vma.end),
            2 => self.rng.random_range(vma.start..vma.end)..vma.end,
            3 => {
                let start = self.rng.random_range(vma.start..vma.end);
                start..self.rng.random_range(start + 1..=vma.end)
            }
            _ => self.any(),
        }
    }

    /// One step of one process, or of a limit.
    fn once(&mut self) -> Result<(), Failure> {
        let n = self.rng.random_range(0..self.processes.len());
        let process = &self.processes[n];
        let borders = maps::read(process.worker.pid(), process.heap)?.borders;
        self.processes[n].space.merge(&borders);
        match self.rng.random_range(0..100) {
            0..22 => self.mmap(n, &borders),
            22..33 => self.munmap(n, &borders),
            33..48 => self.mprotect(n, &borders),
            48..66 => self.mremap(n, &borders),
            66..72 => self.brk(n),
            72..81 => self.write(n, &borders),
            81..85 => self.madvise(n, &borders),
            85..90 => self.fork(n),
            90..92 => self.exit(n),
            92..93 => self.exec(n),
            93..96 => self.enter(n),
            _ => self.limit(),
        }
    }

    /// Compares what the kernel and the model say.
    fn same(
        &mut self,
        what: &'static str,
        text: String,
        kernel: Outcome,
        model: Outcome,
    ) -> Result<(), Failure> {
        let done = self.done.entry(what).or_default();
        done.times += 1;
        done.refused += u64::from(model == Err(Errno::Nomem));
        self.log.push(format!("{}: {text}: {model:?}", self.step));
        if kernel != model {
            return Err(format!("{text}: the kernel says {kernel:?}, the model {model:?}").into());
        }
        Ok(())
    }

    fn mmap(&mut self, n: usize, borders: &[Range<usize>]) -> Result<(), Failure> {
        let at = if self.rng.random() {
            self.any()
        } else {
            self.near(borders)
        };
        let kind = *[
            Kind::Anonymous,
            Kind::Anonymous,
            Kind::Anonymous,
            Kind::File,
            Kind::Shared,
        ]
        .choose(&mut self.rng)
        .unwrap_or(&Kind::Anonymous);
        let new = Mapping {
            kind,
            access: self.access(),
        };
        let mut flags = libc::MAP_FIXED
            | match kind {
                Kind::Anonymous => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                Kind::File => libc::MAP_PRIVATE,
                Kind::Shared => libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            };
        if self.rng.random_ratio(1, 8) {
            flags |= libc::MAP_NORESERVE;
        }
        let file = if kind == Kind::File { self.file } else { -1 };
        let process = &mut self.processes[n];
        let args = [
            address(at.start),
            bytes(at.len()),
            prot(new.access),
            flags as u64,
            file as u64,
            bytes(at.start),
        ];
        let kernel = outcome(process.worker.call(libc::SYS_mmap, args).map_err(dead)?)?;
        let model = process.space.mmap(&mut self.counters, at.clone(), new);
        self.same("mmap", format!("{n}: mmap {at:?} {new:?}"), kernel, model)
    }

    fn munmap(&mut self, n: usize, borders: &[Range<usize>]) -> Result<(), Failure> {
        let at = self.near(borders);
        let process = &mut self.processes[n];
        let args = [address(at.start), bytes(at.len()), 0, 0, 0, 0];
        let kernel = outcome(process.worker.call(libc::SYS_munmap, args).map_err(dead)?)?;
        let model = process.space.munmap(&mut self.counters, at.clone());
        self.same("munmap", format!("{n}: munmap {at:?}"), kernel, model)
    }

    fn mprotect(&mut self, n: usize, borders: &[Range<usize>]) -> Result<(), Failure> {
        let at = self.near(borders);
        let access = self.access();
        let process = &mut self.processes[n];
        let args = [address(at.start), bytes(at.len()), prot(access), 0, 0, 0];
        let kernel = outcome(
            process
                .worker
                .call(libc::SYS_mprotect, args)
                .map_err(dead)?,
        )?;
        let model = process
            .space
            .mprotect(&mut self.counters, borders, at.clone(), access);
        self.same(
            "mprotect",
            format!("{n}: mprotect {at:?} {access:?}"),
            kernel,
            model,
        )
    }

    fn mremap(&mut self, n: usize, borders: &[Range<usize>]) -> Result<(), Failure> {
        let mut old = self.near(borders);
        let mut len = match self.rng.random_range(0..3) {
            0 => old.len(),
            1 => self.rng.random_range(1..=old.len()),
            _ => old.len() + self.rng.random_range(1..=24),
        };
        let how = match self.rng.random_range(0..4) {
            0 if old.start + len <= model::WINDOW => Remap::InPlace,
            1 => {
                len = old.len();
                Remap::CopyTo(self.rng.random_range(0..=model::WINDOW - len))
            }
            _ => {
                len = len.min(model::WINDOW);
                Remap::To(self.rng.random_range(0..=model::WINDOW - len))
            }
        };
        let how = self.foreseeable(n, borders, &mut old, &mut len, how);
        let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let (flags, to) = match how {
            Remap::InPlace => (0, 0),
            Remap::To(to) => (fixed, address(to)),
            Remap::CopyTo(to) => (fixed | libc::MREMAP_DONTUNMAP, address(to)),
        };
        let process = &mut self.processes[n];
        let args = [
            address(old.start),
            bytes(old.len()),
            bytes(len),
            flags as u64,
            to,
            0,
        ];
        let kernel = outcome(process.worker.call(libc::SYS_mremap, args).map_err(dead)?)?;
        let model = process
            .space
            .mremap(&mut self.counters, borders, old.clone(), len, how);
        self.same(
            "mremap",
            format!("{n}: mremap {old:?} to {len} pages, {how:?}"),
            kernel,
            model,
        )
    }

    /// Another way to move, or less of it, if mappings may be merged for a moment.
    ///
    /// The borders before and after a call do not tell of that.  But what is merged with a mapping
    /// that was written to counts as written to from then on.
    fn foreseeable(
        &self,
        n: usize,
        borders: &[Range<usize>],
        old: &mut Range<usize>,
        len: &mut usize,
        how: Remap,
    ) -> Remap {
        let (Remap::To(to) | Remap::CopyTo(to)) = how else {
            return how;
        };
        let window = &self.processes[n].space.window;
        let mut parts = borders
            .iter()
            .filter(|vma| vma.start < old.end && old.start < vma.end);
        // Of several mappings, where there is something that goes for the next one only.
        let first = parts.next();
        let is_free = window[to..to + *len].iter().all(Option::is_none);
        if let (Some(first), Some(_), false) = (first, parts.next(), is_free) {
            let end = first.end.min(old.end).max(old.start + 1);
            if *len == old.len() {
                *len = end - old.start;
            }
            old.end = end;
        }
        let new = to..to + *len;
        let beside = |vma: &Range<usize>| new.end == vma.start || new.start == vma.end;
        let several = borders
            .iter()
            .filter(|vma| vma.start < old.end && old.start < vma.end);
        // The child of a mapping that was written to and then moved, without its content, makes
        // DEBUG_VM warn, beancounters or not.
        let is_wiped = |page: &model::Page| page.wipe_on_fork && page.written;
        if several.clone().any(|vma| *vma != *old && beside(vma))
            || window[old.clone()].iter().flatten().any(is_wiped)
            || how == Remap::CopyTo(old.end)
        {
            *len = old.len();
            return Remap::InPlace;
        }
        how
    }

    fn brk(&mut self, n: usize) -> Result<(), Failure> {
        let pages = self.rng.random_range(0..=HEAP);
        let process = &mut self.processes[n];
        let planted = if pages > 0 { self.planted.page } else { 0 };
        let end = (process.heap + (pages + planted) * PAGE) as u64;
        let result = process
            .worker
            .call(libc::SYS_brk, [end, 0, 0, 0, 0, 0])
            .map_err(dead)?;
        let kernel = if result as u64 == end {
            Ok(())
        } else {
            Err(Errno::Nomem)
        };
        let model = process.space.brk(&mut self.counters, pages);
        self.same("brk", format!("{n}: brk to {pages} pages"), kernel, model)
    }

    fn write(&mut self, n: usize, borders: &[Range<usize>]) -> Result<(), Failure> {
        let page = self.near(borders).start;
        let process = &mut self.processes[n];
        // Others may be larger than the file behind them.
        let writable =
            |page: model::Page| page.kind == Kind::Anonymous && page.access == Access::Write;
        if process.space.window[page].is_some_and(writable) {
            process.worker.write(address(page) as usize).map_err(dead)?;
            process.space.write(borders, page);
        }
        self.same("write", format!("{n}: write to {page}"), Ok(()), Ok(()))
    }

    fn madvise(&mut self, n: usize, borders: &[Range<usize>]) -> Result<(), Failure> {
        let at = self.near(borders);
        let (advice, number) = *[
            (Advice::DontFork, libc::MADV_DONTFORK),
            (Advice::DoFork, libc::MADV_DOFORK),
            (Advice::WipeOnFork, libc::MADV_WIPEONFORK),
            (Advice::KeepOnFork, libc::MADV_KEEPONFORK),
        ]
        .choose(&mut self.rng)
        .ok_or("no advice")?;
        let process = &mut self.processes[n];
        // For what was moved see `foreseeable()`.
        let fits = process.space.window[at.clone()].iter().all(|page| {
            page.is_some_and(|page| {
                page.kind == Kind::Anonymous && !(page.moved && advice == Advice::WipeOnFork)
            })
        });
        if !fits {
            return self.same("madvise", format!("{n}: no madvise"), Ok(()), Ok(()));
        }
        let args = [address(at.start), bytes(at.len()), number as u64, 0, 0, 0];
        let kernel = outcome(process.worker.call(libc::SYS_madvise, args).map_err(dead)?)?;
        let model = process.space.madvise(at.clone(), advice);
        self.same(
            "madvise",
            format!("{n}: madvise {at:?} {advice:?}"),
            kernel,
            model,
        )
    }

    fn free_slot(&self) -> Option<usize> {
        (0..SLOTS).find(|&slot| {
            self.processes
                .iter()
                .all(|process| process.worker.slot() != slot)
        })
    }

    fn fork(&mut self, n: usize) -> Result<(), Failure> {
        let Some(slot) = self.free_slot() else {
            return self.exit(n);
        };
        let process = &self.processes[n];
        let (bc, heap) = (process.bc, process.heap);
        let (kernel, worker) = match process.worker.fork(slot).map_err(dead)? {
            Ok(worker) => (Ok(()), Some(worker)),
            Err(err) if err.raw_os_error() == Some(libc::ENOMEM) => (Err(Errno::Nomem), None),
            Err(err) => return Err(err.into()),
        };
        let model = process.space.fork(&mut self.counters, bc);
        let outcome = model.as_ref().map(|_| ()).map_err(|&err| err);
        self.same("fork", format!("{n}: fork"), kernel, outcome)?;
        if let (Some(worker), Ok(space)) = (worker, model) {
            self.processes.push(Process {
                worker,
                bc,
                space,
                heap,
            });
        }
        Ok(())
    }

    fn exit(&mut self, n: usize) -> Result<(), Failure> {
        if self.processes.len() > 2 {
            let process = self.processes.swap_remove(n);
            process.space.exit(&mut self.counters);
        }
        self.same("exit", format!("{n}: exit"), Ok(()), Ok(()))
    }

    fn exec(&mut self, n: usize) -> Result<(), Failure> {
        let process = &self.processes[n];
        let bc = process.bc;
        let counter = self.counters.get(bc);
        let own = process.space.held(bc);
        let last = self.execs.len() - 1;
        let entry = |room: u64| self.execs[(room as usize).min(last)];
        // First with what there was, then without.
        let before = counter.barrier.saturating_sub(counter.held);
        let (model, refusals) = match entry(before) {
            _ if bc == HOST => (Exec::Works, 0),
            fails @ (Exec::Fails(_), _) => fails,
            _ => entry(counter.barrier.saturating_sub(counter.held - own)),
        };
        let kernel = match process.worker.exec(self.mailboxes) {
            Ok(0) => Exec::Works,
            Ok(err) => Exec::Fails(err),
            Err(Dead) => Exec::Kills,
        };
        let text = format!("{n}: exec with room for {before}, then {own} more");
        if kernel != model {
            return Err(format!("{text}: the kernel says {kernel:?}, the model {model:?}").into());
        }
        self.counters.set_failcnt(bc, counter.failcnt + refusals);
        let refused = if refusals == 0 {
            Ok(())
        } else {
            Err(Errno::Nomem)
        };
        self.same("exec", text, refused, refused)?;
        if let Exec::Fails(_) = model {
            return Ok(());
        }
        if model == Exec::Kills && self.processes.len() <= 2 {
            // Another one instead.
            let slot = self.free_slot().ok_or("no mailbox")?;
            let process = self.start(slot, bc)?;
            self.processes.push(process);
        }
        let mut process = self.processes.swap_remove(n);
        process.space.clone().exit(&mut self.counters);
        if model == Exec::Works {
            process.space = Space::new(bc, 0);
            let program = self.look(&mut process)?;
            if program != self.program {
                return Err(
                    format!("the program has {program} pages, not {}", self.program).into(),
                );
            }
            process.space.program = [0; BCS + 1];
            process.space.program[bc] = program;
            self.counters.add(bc, program);
            self.processes.push(process);
        }
        Ok(())
    }

    fn enter(&mut self, n: usize) -> Result<(), Failure> {
        let bc = self.rng.random_range(HOST..=BCS);
        let process = &mut self.processes[n];
        enter(bc, &process.worker)?;
        process.bc = bc;
        process.space.payer = bc;
        self.same("move", format!("{n}: move to {bc}"), Ok(()), Ok(()))
    }

    fn limit(&mut self) -> Result<(), Failure> {
        let bc = self.rng.random_range(1..=BCS);
        let held = self.counters.get(bc).held;
        let pages = match self.rng.random_range(0..6) {
            0 => PLENTY,
            1 => self.rng.random_range(0..=held),
            2 => held,
            _ => held + self.rng.random_range(0..200),
        };
        limit(bc, pages)?;
        self.counters.set_barrier(bc, pages + self.planted.limit);
        self.same("limit", format!("limit {bc} to {pages}"), Ok(()), Ok(()))
    }

    /// What the kernel holds and has refused is what the model does.
    fn compare(&self, all: bool) -> Result<(), Failure> {
        for bc in 1..=BCS {
            let (kernel, model) = (stat(bc)?, self.counters.get(bc));
            if (kernel.held, kernel.failcnt, kernel.forced) != (model.held, model.failcnt, 0) {
                return Err(format!(
                    "beancounter {bc}: the kernel holds {}, refused {}, forced {}; the model {}, {}, 0",
                    kernel.held, kernel.failcnt, kernel.forced, model.held, model.failcnt
                )
                .into());
            }
        }
        if all {
            let found = maps::check()?;
            for bc in 1..=BCS {
                let held = self.counters.get(bc).held;
                let row = found.iter().find(|row| row.0 == FIRST + bc as u32);
                if row.is_none_or(|&(_, _, pages)| pages != held) {
                    return Err(format!("beancounter {bc} holds {held}, found is {row:?}").into());
                }
            }
        }
        Ok(())
    }
}

/// Does steps, and compares after each.
pub fn run(steps: u64, seed: u64, every: u64, planted: Planted) -> Result<(), Failure> {
    println!("# {steps} steps, seed {seed}");
    let mut driver = Driver::new(seed, planted)?;
    for bc in 1..=BCS {
        limit(bc, PLENTY)?;
    }
    driver.learn()?;
    println!("ok what a program needs is known");
    for bc in 1..=BCS {
        let process = driver.start(bc, bc)?;
        driver.processes.push(process);
    }
    driver.compare(true)?;
    println!("ok processes are in three beancounters");
    while driver.step < steps {
        driver.step += 1;
        let all = driver.step % every == 0;
        if let Err(err) = driver.once().and_then(|()| driver.compare(all)) {
            for line in driver.log.iter().rev().take(40).rev() {
                println!("# {line}");
            }
            return Err(format!("step {} of seed {seed}: {err}", driver.step).into());
        }
    }
    for (what, done) in &driver.done {
        println!("# {what}: {} times, {} refused", done.times, done.refused);
    }
    println!("ok the kernel does what the model does, step by step");
    for what in ["mmap", "mprotect", "mremap", "brk", "fork", "exec"] {
        let done = driver.done.get(what);
        if done.is_none_or(|done| done.refused * 50 < done.times || done.refused == done.times) {
            return Err(format!("{what}: hardly ever refused, or always").into());
        }
    }
    println!("ok limits bite");
    driver.processes.clear();
    for bc in 1..=BCS {
        let held = stat(bc)?.held;
        if held != 0 {
            return Err(format!("beancounter {bc} holds {held} at the end").into());
        }
        unpin(id(bc)?)?;
    }
    println!("ok nothing is held at the end");
    Ok(())
}
