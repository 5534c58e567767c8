//! `Prefer: timezone=`: the zone in which columns declared TIMESTAMPTZ are told.
//!
//! A zone is named as PostgreSQL's setting `TimeZone` is
//! (<https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-TIMEZONES>): a name of the IANA database, in any
//! case; a number of hours east of Greenwich (`-4`, `5.5`); or POSIX's offset, which counts west (`+05:30` is India's zone
//! mirrored).

use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// A zone that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name in the IANA database; for a fixed offset its seconds east of Greenwich.
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// The zone that a preference names; `None` where there is none of that name.
    pub fn of_preference(text: &str) -> Option<Zone> {
        if let Ok(hours) = text.parse::<f64>() {
            return Zone::fixed(seconds(hours)?);
        }
        Zone::named(text).or_else(|| Zone::fixed(-iso_offset(text)?))
    }

    /// The zone of [`Zone::name`].
    pub fn of_name(name: &str) -> Option<Zone> {
        match name.parse() {
            Ok(seconds) => Zone::fixed(seconds),
            Err(_) => Zone::named(name),
        }
    }

    /// What names the zone again, without a byte of the request that named it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn named(text: &str) -> Option<Zone> {
        let zone = TimeZoneDatabase::bundled().get(text).ok()?;
        Some(Zone { name: zone.iana_name()?.to_owned(), zone })
    }

    fn fixed(seconds: i32) -> Option<Zone> {
        let zone = Offset::from_seconds(seconds).ok()?.to_time_zone();
        Some(Zone { name: seconds.to_string(), zone })
    }

    /// A time (`2023-10-18 12:37:59.611+02:00`; without an offset it is UTC) as this zone's clocks show it. `None` for what is
    /// no time of a day.
    pub fn local(&self, text: &str) -> Option<String> {
        let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
        let civil = pieces.date().to_datetime(pieces.time()?);
        let offset = match pieces.offset() {
            Some(PiecesOffset::Numeric(offset)) => offset.offset(),
            Some(_) | None => Offset::UTC,
        };
        let time = offset.to_timestamp(civil).ok()?;
        let offset = self.zone.to_offset(time);
        Some(format!("{}{}", offset.to_datetime(time), iso(offset.seconds())))
    }
}

/// Hours with a fraction, as seconds.
fn seconds(hours: f64) -> Option<i32> {
    let seconds = hours * 3600.0;
    (seconds.abs() <= f64::from(i32::MAX)).then_some(seconds as i32)
}

/// `+05:30`, `-3:00:00`: seconds, as written.
fn iso_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = rest.split(':').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<i32>().ok()).flatten()
    });
    let hours = parts.next()??;
    let minutes = parts.next().unwrap_or(Some(0))?;
    let seconds = parts.next().unwrap_or(Some(0))?;
    let is_clock = minutes < 60 && seconds < 60 && parts.next().is_none();
    is_clock.then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// `+05:30`; seconds only where there are any.
fn iso(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let all = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match seconds {
        0 => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Zone;

    fn local(zone: &str, text: &str) -> Option<String> {
        let zone = Zone::of_preference(zone)?;
        assert_eq!(Zone::of_name(zone.name()).as_ref(), Some(&zone));
        zone.local(text)
    }

    #[test]
    fn zones_and_times() {
        let time = "2023-10-18T12:37:59.611+00:00";
        for (zone, text, expected) in [
            ("America/Los_Angeles", time, "2023-10-18T05:37:59.611-07:00"),
            ("europe/paris", time, "2023-10-18T14:37:59.611+02:00"),
            ("Europe/Paris", "2023-01-18 12:00:00", "2023-01-18T13:00:00+01:00"),
            ("UTC", "2023-01-18 12:00+05:30", "2023-01-18T06:30:00+00:00"),
            ("+05:30", time, "2023-10-18T07:07:59.611-05:30"),
            ("-4", time, "2023-10-18T08:37:59.611-04:00"),
            ("5.5", "2023-10-18T12:00:00Z", "2023-10-18T17:30:00+05:30"),
            ("Europe/Amsterdam", "1890-01-01T00:00:00Z", "1890-01-01T00:17:30+00:17:30"),
        ] {
            assert_eq!(local(zone, text).as_deref(), Some(expected), "{zone} {text}");
        }
    }

    #[test]
    fn what_is_none() {
        for zone in ["Invalid/Timezone", "", "+", "+5:99", "1:2:3:4", "1e9", "NaN", "../etc/passwd", "*/--"] {
            assert_eq!(Zone::of_preference(zone), None, "{zone}");
        }
        for text in ["", "yesterday", "2023-10-18", "2023-13-01T00:00:00Z", "12:00", "9999-12-31T23:59:59Z"] {
            assert_eq!(local("Pacific/Kiritimati", text), None, "{text}");
        }
    }
}
