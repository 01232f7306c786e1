//! A simulated process: tasks that end together, at any of their awaits.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tenet_syncer::embed::{Runtime, Task};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::random::Random;

/// Number that no count of polls reaches.
const NEVER: u64 = u64::MAX;

/// Count of the polls of all processes of one run, and its bound.
pub struct Polls {
    spent: AtomicU64,
    most: u64,
    exhausted: Notify,
}

impl Polls {
    /// A count from zero.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { spent: AtomicU64::new(0), most, exhausted: Notify::new() })
    }

    /// Returns the number of polls so far.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::SeqCst)
    }

    /// Waits until the bound is reached. No task is polled then.
    pub async fn exhausted(&self) {
        self.exhausted.notified().await;
    }

    /// Counts one poll. Returns false at the bound.
    fn spend(&self) -> bool {
        let is_left = self.spent.fetch_add(1, Ordering::SeqCst) < self.most;
        if !is_left {
            self.exhausted.notify_one();
        }
        is_left
    }
}

/// A process of the simulated world, which may be killed between any two polls of its tasks.
pub struct Process {
    clock: Clock,
    random: Mutex<Random>,
    tasks: Mutex<JoinSet<()>>,
    panics: AtomicU64,
    run: Arc<Polls>,
    is_dead: AtomicBool,
    polls: AtomicU64,
    dies_at: AtomicU64,
    died: Notify,
    /// Number of spans in force in which none of its tasks is polled.
    frozen: AtomicU64,
    /// Tasks that were woken in such a span.
    woken: Mutex<Vec<Waker>>,
}

impl Process {
    /// Starts a process without tasks.
    pub fn new(clock: Clock, run: Arc<Polls>, random: Random) -> Arc<Self> {
        Arc::new(Self {
            clock,
            run,
            random: Mutex::new(random),
            tasks: Mutex::new(JoinSet::new()),
            panics: AtomicU64::new(0),
            is_dead: AtomicBool::new(false),
            polls: AtomicU64::new(0),
            dies_at: AtomicU64::new(NEVER),
            died: Notify::new(),
            frozen: AtomicU64::new(0),
            woken: Mutex::default(),
        })
    }

    /// Kills the process: none of its tasks is polled again.
    pub fn kill(&self) {
        if !self.is_dead.swap(true, Ordering::SeqCst) {
            self.reap();
            // Dropped outside of the lock: a task that ends may spawn another one.
            let tasks = mem::take(&mut *self.tasks.lock());
            drop(tasks);
            self.died.notify_one();
        }
    }

    /// Kills the process after that many more polls of its tasks.
    pub fn kill_after(&self, polls: u64) {
        self.dies_at.store(self.polls.load(Ordering::SeqCst) + polls, Ordering::SeqCst);
    }

    /// Polls none of its tasks for a time, as if its machine stood still. They go on afterwards, with all that has come
    /// meanwhile.
    pub fn freeze(self: &Arc<Self>, length: Duration) {
        self.frozen.fetch_add(1, Ordering::SeqCst);
        let process = Arc::clone(self);
        tokio::spawn(async move {
            sleep(length).await;
            if process.frozen.fetch_sub(1, Ordering::SeqCst) == 1 {
                let woken = mem::take(&mut *process.woken.lock());
                woken.into_iter().for_each(Waker::wake);
            }
        });
    }

    /// Lets the process live.
    pub fn spare(&self) {
        self.dies_at.store(NEVER, Ordering::SeqCst);
    }

    /// Returns true if the process was killed.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Waits until the process was killed.
    pub async fn died(&self) {
        if !self.is_dead() {
            self.died.notified().await;
        }
    }

    /// Returns how many of its tasks have panicked.
    pub fn panics(&self) -> u64 {
        self.reap();
        self.panics.load(Ordering::SeqCst)
    }

    fn reap(&self) {
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            if ended.is_err_and(|error| error.is_panic()) {
                self.panics.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

/// The process as its tasks see it. It does not keep the process alive.
pub struct Handle(pub Arc<Process>);

impl Runtime for Handle {
    fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    fn random(&self) -> f64 {
        self.0.random.lock().unit()
    }

    fn spawn(&self, task: Task) {
        if self.0.is_dead() {
            return;
        }
        self.0.reap();
        let life = Life { process: Arc::clone(&self.0), task };
        self.0.tasks.lock().spawn(life);
    }
}

/// A task that is polled only while its process lives, and its run is within its bound.
struct Life {
    process: Arc<Process>,
    task: Task,
}

impl Future for Life {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.process.is_dead() || !self.process.run.spend() {
            return Poll::Pending;
        }
        if self.process.frozen.load(Ordering::SeqCst) > 0 {
            self.process.woken.lock().push(cx.waker().clone());
            return Poll::Pending;
        }
        let polls = self.process.polls.fetch_add(1, Ordering::SeqCst) + 1;
        if polls >= self.process.dies_at.load(Ordering::SeqCst) {
            self.process.kill();
            return Poll::Pending;
        }
        self.task.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_never_waits_exhausts_the_polls_of_its_run() {
        let polls = Polls::new(1_000);
        let process = Process::new(Clock::start(), Arc::clone(&polls), Random::new(1));
        Handle(Arc::clone(&process)).spawn(Box::pin(async {
            loop {
                tokio::task::yield_now().await;
            }
        }));
        polls.exhausted().await;
        assert!(polls.spent() > 1_000);
        process.kill();
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_process_goes_on_where_it_stood() {
        let process = Process::new(Clock::start(), Polls::new(1_000), Random::new(1));
        let (sender, mut ticks) = tokio::sync::mpsc::unbounded_channel();
        Handle(Arc::clone(&process)).spawn(Box::pin(async move {
            while sender.send(()).is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        }));
        process.freeze(Duration::from_millis(9_500));
        process.freeze(Duration::from_millis(4_500));
        sleep(Duration::from_secs(9)).await;
        assert!(ticks.try_recv().is_err(), "it is frozen before its first poll");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(std::iter::from_fn(|| ticks.try_recv().ok()).count(), 2);
        process.kill();
    }
}
