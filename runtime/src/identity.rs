//! Who asks: what signing in has found out, or that nobody has signed in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::config::Config;
use crate::value::Value;

/// Who asks. Made by a shell through [`auth`](crate::auth); policies and functions go by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The role; none where neither a credential nor `api.anonymous_role` names one.
    pub role: Option<String>,
    /// What is claimed of who asks: those of the JWT, or `role` and `sub` of another credential.
    pub claims: Map<String, Json>,
    /// Whether nobody has signed in.
    pub is_anonymous: bool,
}

impl Identity {
    /// Nobody in particular, with the role that the configuration gives such.
    pub fn anonymous(config: &Config) -> Identity {
        let role = config.api.anonymous_role.clone();
        let claims = role.iter().map(|role| ("role".to_owned(), Json::from(role.as_str()))).collect();
        Identity { role, claims, is_anonymous: true }
    }

    /// As one shell hands it to another.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The inverse of [`Identity::to_json`]; nobody where it is none.
    pub fn from_json(json: &[u8]) -> Option<Identity> {
        serde_json::from_slice(json).ok()
    }

    /// The claim at a path of members (`app_metadata.team`), as SQL has it: JSON of arrays and objects, 1 and 0 of
    /// booleans. A member whose name has the dots in it is found, too.
    pub fn claim(&self, path: &str) -> Value {
        let found = self.claims.get(path).or_else(|| {
            let mut members = path.split('.');
            let first = self.claims.get(members.next()?)?;
            members.try_fold(first, |json, member| json.get(member))
        });
        match found {
            None | Some(Json::Null) => Value::Null,
            Some(Json::String(text)) => Value::Text(text.clone()),
            Some(Json::Bool(is)) => Value::Integer((*is).into()),
            Some(Json::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Value::Integer(integer),
                (None, Some(real)) => Value::Real(real),
                (None, None) => Value::Text(number.to_string()),
            },
            Some(json @ (Json::Array(_) | Json::Object(_))) => Value::Text(json.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims() {
        let claims = serde_json::json!({
            "sub": 7, "a": {"b": [1, true], "c": null, "d": 1.5}, "x.y": "dotted", "yes": true
        });
        let Json::Object(claims) = claims else { panic!("an object") };
        let identity = Identity { claims, ..Identity::default() };
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(identity.claim("sub"), Value::Integer(7));
        assert_eq!(identity.claim("a.b"), text("[1,true]"));
        assert_eq!(identity.claim("a.c"), Value::Null);
        assert_eq!(identity.claim("a.d"), Value::Real(1.5));
        assert_eq!(identity.claim("a.z.z"), Value::Null);
        assert_eq!(identity.claim("x.y"), text("dotted"));
        assert_eq!(identity.claim("yes"), Value::Integer(1));
        assert_eq!(identity.claim(""), Value::Null);
    }
}
