//! When the next backup is due. Pure: the clock is handed in.

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::settings::Schedule;

/// When the next backup is due, by when the newest there is was made. What was missed, because no server ran, is due at once.
pub fn due(schedule: &Schedule, newest: Option<Timestamp>, now: Timestamp) -> Timestamp {
    // One from the future was made while the clock was wrong.
    let Some(newest) = newest.map(|newest| newest.min(now)) else { return now };
    match schedule {
        Schedule::Every(every) => {
            let every = SignedDuration::try_from(*every).unwrap_or(SignedDuration::MAX);
            newest.saturating_add(every).unwrap_or(Timestamp::MAX)
        }
        Schedule::At(time, zone) => {
            let day = newest.to_zoned(zone.clone()).date();
            // A day on which clocks skip the time has it a little later.
            let moments = (0..3).filter_map(|days| {
                let day = day.checked_add(days.days()).ok()?;
                Some(day.to_datetime(*time).to_zoned(zone.clone()).ok()?.timestamp())
            });
            moments.into_iter().find(|moment| *moment > newest).unwrap_or(Timestamp::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;
    use jiff::tz::TimeZone;
    use std::time::Duration;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn every_so_often() {
        let hourly = Schedule::Every(Duration::from_secs(3600));
        let now = at("2026-11-28T10:00:00Z");
        assert_eq!(due(&hourly, None, now), now);
        assert_eq!(due(&hourly, Some(at("2026-11-28T09:30:00Z")), now), at("2026-11-28T10:30:00Z"));
        // Missed, and of a clock that was ahead.
        assert!(due(&hourly, Some(at("2026-11-25T09:30:00Z")), now) <= now);
        assert_eq!(due(&hourly, Some(at("2031-01-01T00:00:00Z")), now), at("2026-11-28T11:00:00Z"));
        let forever = Schedule::Every(Duration::MAX);
        assert_eq!(due(&forever, Some(now), now), Timestamp::MAX);
    }

    #[test]
    fn each_day() {
        let nightly = |zone| Schedule::At(time(3, 0, 0, 0), TimeZone::get(zone).expect(zone));
        let now = at("2026-11-28T10:00:00Z");
        let due = |zone, newest| due(&nightly(zone), Some(at(newest)), now);
        assert_eq!(due("UTC", "2026-11-28T03:00:00Z"), at("2026-11-29T03:00:00Z"));
        assert_eq!(due("UTC", "2026-11-28T02:59:59Z"), at("2026-11-28T03:00:00Z"));
        // Yesterday's was made, and no server ran this night.
        assert_eq!(due("UTC", "2026-11-27T03:00:01Z"), at("2026-11-28T03:00:00Z"));
        assert_eq!(due("Asia/Tokyo", "2026-11-27T18:00:00Z"), at("2026-11-28T18:00:00Z"));
        // Clocks go from 02:00 to 03:00 and from 03:00 to 02:00.
        let berlin = Schedule::At(time(2, 30, 0, 0), TimeZone::get("Europe/Berlin").expect("a zone"));
        let spring = super::due(&berlin, Some(at("2027-03-27T12:00:00Z")), at("2027-03-27T12:00:00Z"));
        assert_eq!(spring, at("2027-03-28T01:30:00Z"));
        let autumn = super::due(&berlin, Some(at("2027-10-30T12:00:00Z")), at("2027-10-30T12:00:00Z"));
        assert_eq!(super::due(&berlin, Some(autumn), autumn), autumn + 25.hours());
    }
}
