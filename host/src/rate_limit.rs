//! How many requests somebody may send in a second, and what is told of it: by the fields of
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// A limit, and who has used how much of it. Only who has used some of late is remembered, once [`RateLimit::forget`] has been called.
pub struct RateLimit<C: Clock = MonotonicClock> {
    name: &'static str,
    rate: NonZeroU32,
    burst: NonZeroU32,
    /// Keys are hashes, so that each takes the same room.
    used: RateLimiter<u64, DashMapStateStore<u64>, C, StateInformationMiddleware>,
    clock: C,
    hasher: RandomState,
}

/// What is left to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests.
    pub requests: u32,
    /// How long until it is all of them again; where there are none, until it is one.
    pub wait: Duration,
}

impl RateLimit {
    /// `rate` requests a second and `burst` at once (0: as many as in a second), or none where the rate is 0. `name` is what the
    /// fields call it.
    pub fn new(name: &'static str, rate: u64, burst: u64) -> Option<RateLimit> {
        RateLimit::by(MonotonicClock, name, rate, burst)
    }
}

impl<C: Clock + Clone> RateLimit<C> {
    fn by(clock: C, name: &'static str, rate: u64, burst: u64) -> Option<RateLimit<C>> {
        let number = |number: u64| NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX));
        let rate = number(rate)?;
        let burst = number(burst).unwrap_or(rate);
        let quota = Quota::per_second(rate).allow_burst(burst);
        let used = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Some(RateLimit { name, rate, burst, used, clock, hasher: RandomState::new() })
    }

    /// Whether another one is the same limit.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.name, self.rate, self.burst) == (other.name, other.rate, other.burst)
    }

    /// Counts a request of somebody.
    ///
    /// # Errors
    /// It is one too many: how long to wait.
    pub fn count(&self, somebody: &impl Hash) -> Result<Left, Left> {
        match self.used.check_key(&self.hasher.hash_one(somebody)) {
            Ok(state) => {
                let requests = state.remaining_burst_capacity();
                let used = self.burst.get().saturating_sub(requests);
                Ok(Left { requests, wait: Duration::from_secs(used.into()) / self.rate.get() })
            }
            Err(until) => Err(Left { requests: 0, wait: until.wait_time_from(self.clock.now()) }),
        }
    }

    /// Forgets those to whom all of it is left.
    pub fn forget(&self) {
        self.used.retain_recent();
        self.used.shrink_to_fit();
    }

    /// `"ip";q=100;w=1`: so many in so many seconds.
    pub fn policy(&self) -> String {
        let window = self.burst.get().div_ceil(self.rate.get());
        let quota = u64::from(self.rate.get()) * u64::from(window);
        format!("\"{}\";q={quota};w={window}", self.name)
    }

    /// `"ip";r=99;t=1`
    pub fn left(&self, left: Left) -> String {
        format!("\"{}\";r={};t={}", self.name, left.requests, whole_seconds(left.wait))
    }
}

/// Rounded up: who comes after these does not come too early.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    #[test]
    fn a_burst_and_no_more() {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::by(clock.clone(), "ip", 2, 4).expect("a limit");
        assert_eq!(limit.policy(), "\"ip\";q=4;w=2");
        let requests: Vec<u32> = (0..4).map(|_| limit.count(&"a").expect("within it").requests).collect();
        assert_eq!(requests, [3, 2, 1, 0]);
        let refused = limit.count(&"a").expect_err("one too many");
        assert_eq!(refused, Left { requests: 0, wait: Duration::from_millis(500) });
        assert_eq!(limit.left(refused), "\"ip\";r=0;t=1");
        let other = limit.count(&"b").expect("another one's");
        assert_eq!(other, Left { requests: 3, wait: Duration::from_millis(500) });
        limit.forget();
        assert_eq!(limit.used.len(), 2, "both have used some of it");
        clock.advance(Duration::from_millis(1_100));
        limit.forget();
        assert_eq!(limit.used.len(), 1, "all is left to one of them");
        let again = limit.count(&"a").expect("within it again");
        assert_eq!((again.requests, limit.left(again).as_str()), (1, "\"ip\";r=1;t=2"));
        clock.advance(Duration::from_secs(3));
        limit.forget();
        assert!(limit.used.is_empty());
    }

    #[test]
    fn quota_and_window_are_the_rate() {
        let policy = |rate, burst| RateLimit::new("x", rate, burst).expect("a limit").policy();
        assert_eq!(policy(100, 0), "\"x\";q=100;w=1");
        assert_eq!(policy(100, 10), "\"x\";q=100;w=1");
        assert_eq!(policy(100, 250), "\"x\";q=300;w=3");
        assert_eq!(policy(u64::MAX, 1), format!("\"x\";q={};w=1", u32::MAX));
        assert!(RateLimit::new("x", 0, 5).is_none());
        let largest = RateLimit::new("x", 1, u64::MAX).expect("a limit");
        assert_eq!(largest.count(&1).expect("within it").requests, u32::MAX - 1);
    }
}
