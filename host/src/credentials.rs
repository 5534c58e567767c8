//! Making credentials on the command line: tokens, API keys, users. What is secret is printed once and stored as a hash.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use jwt_simple::algorithms::{
    ECDSAP256KeyPairLike as _, ECDSAP384KeyPairLike as _, ES256KeyPair, ES384KeyPair, Ed25519KeyPair,
    EdDSAKeyPairLike as _, HS256Key, HS384Key, HS512Key, MACLike, PS256KeyPair, PS384KeyPair, PS512KeyPair,
    RS256KeyPair, RS384KeyPair, RS512KeyPair, RSAKeyPairLike as _,
};
use jwt_simple::claims::{Claims, JWTClaims};
use serde_json::{Map, Value as Json, json};
use sqlitrest_runtime::auth::api_key::{KeyList, PREFIX, stored_hash};
use sqlitrest_runtime::auth::basic::{Users, stored_password};
use sqlitrest_runtime::auth::keys::any_base64;
use sqlitrest_runtime::config::{Config, Jwt, Reference, Span, reference};

use crate::settings::{self, configuration, tell};

/// `sqlitrest token`
#[derive(Args)]
pub(crate) struct TokenFlags {
    /// The role
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    role: Option<String>,
    /// Whose token it is (`sub`)
    #[arg(long)]
    sub: Option<String>,
    /// How long it is good: 15m, 1h, 30d
    #[arg(long, default_value = "1h", value_parser = duration)]
    expires: Duration,
    /// Another claim, as JSON where it is JSON; can be given several times
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// The configuration file, by default ./sqlitrest.toml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `sqlitrest apikey`
#[derive(Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Add a key to the list and print it, once
    New(NewKey),
    /// Print the keys of the list: who each is, not the key
    List(ListFlags),
}

#[derive(Args)]
pub(crate) struct NewKey {
    /// Its role
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    role: String,
    /// Whose key it is (the claim `sub`)
    #[arg(long)]
    sub: Option<String>,
    /// How long it is good: 12h, 90d; without, for ever
    #[arg(long, value_parser = duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    list: ListFlags,
}

/// `sqlitrest user`
#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user to the list; the password is asked for, or read from standard input
    Add(NewUser),
    /// Print the users of the list
    List(ListFlags),
}

#[derive(Args)]
pub(crate) struct NewUser {
    /// The name to sign in with
    name: String,
    /// The role
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    role: String,
    /// The claim `sub`, by default the name
    #[arg(long)]
    sub: Option<String>,
    #[command(flatten)]
    list: ListFlags,
}

#[derive(Args)]
pub(crate) struct ListFlags {
    /// The list, by default that of the configuration
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration file, by default ./sqlitrest.toml if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ListFlags {
    /// The list to add to.
    fn path(&self, source: fn(&Config) -> Option<String>, default: &str) -> Result<PathBuf> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let config = configuration(self.config.clone())?.config;
        let Some(source) = source(&config) else { return Ok(default.into()) };
        match reference(&source) {
            Some(Reference::File(path)) => Ok(path.into()),
            _ => {
                bail!("the configuration does not have the list in a file: name one with `--file {default}`")
            }
        }
    }
}

/// Prints a token.
pub(crate) fn token(flags: &TokenFlags) -> Result<()> {
    let config = configuration(flags.config.clone())?.config;
    let jwt = config.auth.as_ref().and_then(|auth| auth.jwt.as_ref());
    let jwt = jwt.context("the configuration has no [auth.jwt]; name another with `--config FILE`")?;
    let mut claims = Map::new();
    if let Some(role) = &flags.role {
        let name = &jwt.role_claim;
        ensure!(
            !name.starts_with('.'),
            "auth.jwt.role_claim is a path ({name}): say the role by --claim NAME=JSON"
        );
        claims.insert(name.clone(), role.as_str().into());
    }
    for claim in &flags.claims {
        let (name, value) =
            claim.split_once('=').with_context(|| format!("--claim {claim} is not NAME=VALUE"))?;
        ensure!(
            !matches!(name, "exp" | "nbf" | "iat" | "sub" | "aud" | "iss"),
            "--claim {name}=… is told otherwise: exp by --expires, sub by --sub, the others come of themselves"
        );
        let value = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
        claims.insert(name.to_owned(), value);
    }
    let mut claims = Claims::with_custom_claims(claims, flags.expires.into());
    claims.subject.clone_from(&flags.sub);
    let first = |list: &Option<sqlitrest_runtime::config::OneOrMore>| {
        list.as_ref().and_then(|list| list.texts().first()).cloned()
    };
    claims.issuer = first(&jwt.issuer);
    if let Some(audience) = first(&jwt.audience) {
        claims = claims.with_audience(audience);
    }
    let text = jwt.secret.as_ref().context("auth.jwt.secret is not set, so there is nothing to sign with")?;
    let text = match reference(&text.0) {
        Some(reference) => settings::refer(reference).map_err(|error| anyhow!("auth.jwt.secret: {error}"))?,
        None => text.0.clone(),
    };
    let expires = claims.expires_at.map(|at| at.as_secs());
    let token = sign(jwt, text.trim(), claims)?;
    tell(flags.json, &json!({ "token": token, "expires": expires }), || token)
}

type Sign = JWTClaims<Map<String, Json>>;

/// By the algorithm that is configured first, or that of the key.
fn sign(jwt: &Jwt, text: &str, claims: Sign) -> Result<String> {
    let pinned = jwt.algorithm.as_ref().and_then(|list| list.texts().first()).map(String::as_str);
    let mut text = text.as_bytes().to_vec();
    if jwt.secret_is_base64 {
        text =
            std::str::from_utf8(&text).ok().and_then(any_base64).context("auth.jwt.secret is not base64")?;
    }
    ensure!(!text.starts_with(b"-----BEGIN"), "auth.jwt.secret is a public key, which cannot sign");
    let Some(object) = serde_json::from_slice::<Map<String, Json>>(&text).ok() else {
        return by_secret(pinned.unwrap_or("HS256"), &text, None, claims);
    };
    // Of a set the first key that can sign.
    let keys = match object.get("keys") {
        Some(Json::Array(keys)) => keys.iter().filter_map(Json::as_object).cloned().collect(),
        _ => vec![object],
    };
    let key = keys.iter().find(|key| key.contains_key("d") || key.contains_key("k"));
    let key = key.context("auth.jwt.secret has only public keys, which cannot sign")?;
    let member = |name: &str| key.get(name).and_then(Json::as_str);
    let algorithm = member("alg").or(pinned).unwrap_or(match (member("kty"), member("crv")) {
        (Some("oct"), _) => "HS256",
        (Some("RSA"), _) => "RS256",
        (_, Some("P-256")) => "ES256",
        (_, Some("P-384")) => "ES384",
        _ => "EdDSA",
    });
    let kid = member("kid");
    if let Some(secret) = member("k") {
        let secret = URL_SAFE_NO_PAD.decode(secret).context("the `k` of auth.jwt.secret is not base64url")?;
        return by_secret(algorithm, &secret, kid, claims);
    }
    let jwk = serde_json::to_string(key)?;
    let signed = match algorithm {
        "RS256" => RS256KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "RS384" => RS384KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "RS512" => RS512KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "PS256" => PS256KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "PS384" => PS384KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "PS512" => PS512KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "ES256" => ES256KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "ES384" => ES384KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        "EdDSA" | "Ed25519" => Ed25519KeyPair::from_jwk(&jwk).and_then(|key| key.sign(claims)),
        other => bail!("auth.jwt.secret is a key for {other}, which this does not sign by"),
    };
    // Its own words do not have the key in them, but none that help either.
    signed.map_err(|_| anyhow!("auth.jwt.secret is not a private key that signs by {algorithm}"))
}

fn by_secret(algorithm: &str, secret: &[u8], kid: Option<&str>, claims: Sign) -> Result<String> {
    let named = |kid: Option<&str>| kid.unwrap_or_default().to_owned();
    let signed = match (algorithm, kid) {
        ("HS256", None) => HS256Key::from_bytes(secret).authenticate(claims),
        ("HS384", None) => HS384Key::from_bytes(secret).authenticate(claims),
        ("HS512", None) => HS512Key::from_bytes(secret).authenticate(claims),
        ("HS256", kid) => HS256Key::from_bytes(secret).with_key_id(&named(kid)).authenticate(claims),
        ("HS384", kid) => HS384Key::from_bytes(secret).with_key_id(&named(kid)).authenticate(claims),
        ("HS512", kid) => HS512Key::from_bytes(secret).with_key_id(&named(kid)).authenticate(claims),
        _ => bail!("auth.jwt.secret is a shared secret, which does not sign by {algorithm}"),
    };
    signed.map_err(|_| anyhow!("auth.jwt.secret is too short to sign with"))
}

/// Adds a key to the list and prints it, or prints who the keys are of.
pub(crate) fn api_key(command: &ApiKeyCommand) -> Result<()> {
    let source = |config: &'_ Config| -> Option<String> {
        Some(config.auth.as_ref()?.apikey.as_ref()?.source.clone())
    };
    match command {
        ApiKeyCommand::New(flags) => new_key(flags, &flags.list.path(source, "apikeys.toml")?),
        ApiKeyCommand::List(flags) => {
            let path = flags.path(source, "apikeys.toml")?;
            let entries = entries(&path, "key", "hash", |text| KeyList::read(text).map(drop))?;
            tell(flags.json, &entries, || table(&entries, ["id", "role", "subject", "expires"]))
        }
    }
}

fn new_key(flags: &NewKey, path: &Path) -> Result<()> {
    let id: String = random::<6>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
    let mut entry = format!(
        "[[key]]\nid = {}\nhash = {}\nrole = {}\n",
        quoted(&id),
        quoted(&stored_hash(&key)),
        quoted(&flags.role)
    );
    if let Some(subject) = &flags.sub {
        entry += &format!("subject = {}\n", quoted(subject));
    }
    if let Some(expires) = flags.expires {
        let end = Timestamp::now().checked_add(SignedDuration::try_from(expires)?);
        entry += &format!("expires = {:.0}\n", end.context("--expires is too far away")?);
    }
    append(path, &entry, |text| KeyList::read(text).map(drop))?;
    eprintln!("added to {}; the key is not shown again:", path.display());
    tell(flags.list.json, &json!({ "id": id, "key": key, "file": path }), || key.clone())
}

/// Adds a user to the list, or prints who is in it.
pub(crate) fn user(command: &UserCommand) -> Result<()> {
    let source =
        |config: &'_ Config| -> Option<String> { Some(config.auth.as_ref()?.basic.as_ref()?.source.clone()) };
    match command {
        UserCommand::Add(flags) => new_user(flags, &flags.list.path(source, "users.toml")?),
        UserCommand::List(flags) => {
            let path = flags.path(source, "users.toml")?;
            let entries = entries(&path, "user", "password", |text| Users::read(text).map(drop))?;
            tell(flags.json, &entries, || table(&entries, ["name", "role", "subject", "expires"]))
        }
    }
}

fn new_user(flags: &NewUser, path: &Path) -> Result<()> {
    let password = password()?;
    ensure!(!password.is_empty(), "the password is empty");
    let hash =
        stored_password(password.as_bytes(), &random::<16>()?).context("the password cannot be hashed")?;
    let mut entry = format!(
        "[[user]]\nname = {}\npassword = {}\nrole = {}\n",
        quoted(&flags.name),
        quoted(&hash),
        quoted(&flags.role)
    );
    if let Some(subject) = &flags.sub {
        entry += &format!("subject = {}\n", quoted(subject));
    }
    append(path, &entry, |text| Users::read(text).map(drop))?;
    eprintln!("{} is added to {}", flags.name, path.display());
    match flags.list.json {
        true => tell(true, &json!({ "name": flags.name, "file": path }), String::new),
        false => Ok(()),
    }
}

/// What a list says of its entries, without what is secret.
fn entries(
    path: &Path,
    kind: &str,
    secret: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<Map<String, Json>>> {
    let about = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", about()))?;
    check(&text).map_err(|error| anyhow!("{}: {error}", about()))?;
    let mut list: toml::Table = toml::from_str(&text)?;
    let Some(toml::Value::Array(entries)) = list.remove(kind) else { return Ok(Vec::new()) };
    let shown = entries.iter().filter_map(toml::Value::as_table).map(|entry| {
        let fields = entry.iter().filter(|(name, _)| *name != secret);
        fields.map(|(name, value)| (name.clone(), plain(value))).collect()
    });
    Ok(shown.collect())
}

/// A value as JSON, times as texts.
fn plain(value: &toml::Value) -> Json {
    match value {
        toml::Value::Datetime(time) => Json::from(time.to_string()),
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

/// A line for each, with these of its fields.
fn table(entries: &[Map<String, Json>], columns: [&str; 4]) -> String {
    let cell = |entry: &Map<String, Json>, name: &str| match entry.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    };
    let width =
        |name: &&str| entries.iter().map(|entry| cell(entry, name).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |entry: &Map<String, Json>| {
        let cells = columns.iter().zip(&widths).map(|(name, width)| format!("{:<width$}", cell(entry, name)));
        let is_off = entry.get("disabled") == Some(&Json::Bool(true));
        let off = if is_off { "  disabled" } else { "" };
        format!("{}{off}", cells.collect::<Vec<String>>().join("  ")).trim_end().to_owned()
    };
    entries.iter().map(line).collect::<Vec<String>>().join("\n")
}

/// Asked for twice at a terminal, without showing it; else the first line of standard input.
fn password() -> Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("no password on standard input")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("password: ").context("no password")?;
    let second = rpassword::prompt_password("again: ").context("no password")?;
    ensure!(first == second, "the passwords are not the same");
    Ok(first)
}

/// Adds an entry to a list, which is then the old or the new one, whatever happens meanwhile, and nobody else's to read.
fn append(path: &Path, entry: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<()> {
    let about = || path.display().to_string();
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(about),
    };
    check(&old).map_err(|error| anyhow!("{}: {error}", about()))?;
    let new = match old.trim_end() {
        "" => entry.to_owned(),
        old => format!("{old}\n\n{entry}"),
    };
    check(&new).map_err(|error| anyhow!("{}: {error}", about()))?;
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&fresh).and_then(|mut file| {
        file.write_all(new.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.with_context(about)
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// `90d`, or a duration as in the configuration.
fn duration(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let duration = match days {
        Some(days) => Duration::from_secs(days.saturating_mul(86_400)),
        None => Span::try_from(text.to_owned()).map_err(|error| format!("{error}, or 90d"))?.0,
    };
    match duration.as_secs() {
        0 => Err("it must be at least 1s".to_owned()),
        1..=31_536_000_000 => Ok(duration),
        _ => Err("it is longer than a thousand years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlitrest_runtime::auth::{Authenticator, Verdict};
    use sqlitrest_runtime::http::Request;

    /// Whether a token signed with the secret is taken by who has the same configuration.
    fn signs(jwt: &str) -> Result<()> {
        let config = Config::load("", &format!("[auth.jwt]\n{jwt}"), [])?;
        let own = config.auth.as_ref().and_then(|auth| auth.jwt.as_ref()).context("jwt")?;
        let claims = Map::from_iter([("role".to_owned(), Json::from("editor"))]);
        let claims = Claims::with_custom_claims(claims, Duration::from_secs(60).into()).with_subject("7");
        let token = sign(own, &own.secret.as_ref().context("secret")?.0, claims)?;
        let value = format!("Bearer {token}");
        let headers: &[(&str, &[u8])] = &[("authorization", value.as_bytes())];
        let request = Request { method: "GET", target: "/", headers, body: b"" };
        let authenticator = Authenticator::new(&config, [0; 32], &mut settings::refer)?;
        match authenticator.authenticate(&request, Timestamp::now().as_second()) {
            Verdict::Is(identity) => ensure!(identity.role.as_deref() == Some("editor")),
            _ => bail!("{token} is not taken"),
        }
        Ok(())
    }

    #[test]
    fn tokens() {
        let text = "reallyreallyreallyreallyverysafe";
        let base64 = "cmVhbGx5cmVhbGx5cmVhbGx5cmVhbGx5dmVyeXNhZmU=";
        let rsa = RS256KeyPair::from_pem(include_str!("../../tests/keys/rsa.pem")).expect("a key").to_jwk();
        for jwt in [
            format!("secret = \"{text}\""),
            format!("secret = \"{text}\"\nalgorithm = [\"HS512\", \"HS256\"]"),
            format!("secret = \"{base64}\"\nsecret_is_base64 = true"),
            format!(
                "secret = '{{\"kty\":\"oct\",\"k\":\"{}\",\"kid\":\"a\"}}'",
                base64.trim_end_matches('=')
            ),
            format!("secret = '{}'", ES256KeyPair::generate().to_jwk()),
            format!("secret = '{{\"keys\":[{}]}}'", ES384KeyPair::generate().with_key_id("a").to_jwk()),
            format!("secret = '{}'", Ed25519KeyPair::generate().to_jwk()),
            format!("secret = '{rsa}'"),
            format!("algorithm = \"PS384\"\nsecret = '{}'", rsa.replace("\"alg\":\"RS256\",", "")),
        ] {
            signs(&jwt).unwrap_or_else(|error| panic!("{jwt}: {error:#}"));
        }
        let public = Ed25519KeyPair::generate().public_key();
        for jwt in [
            format!("secret = '{}'", public.to_jwk()),
            format!("secret = \"\"\"{}\"\"\"", public.to_pem()),
            format!("secret = \"{text}\"\nalgorithm = \"RS256\""),
        ] {
            let error = signs(&jwt).expect_err(&jwt).to_string();
            assert!(error.starts_with("auth.jwt.secret "), "{error}");
        }
    }

    #[test]
    fn lists() {
        let directory = std::env::temp_dir().join(format!("sqlitrest-lists-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("users.toml");
        let check = |text: &str| Users::read(text).map(drop);
        let hash = stored_password(b"a password", b"0123456789abcdef").expect("a hash");
        let entry =
            |name: &str| format!("[[user]]\nname = {}\npassword = \"{hash}\"\nrole = \"r\"\n", quoted(name));
        append(&path, &entry("ida"), check).expect("a new list");
        append(&path, &entry("b\"o'b\n"), check).expect("a longer list");
        let text = fs::read_to_string(&path).expect("the list");
        append(&path, &entry("ida"), check).expect_err("the same name");
        assert_eq!(fs::read_to_string(&path).expect("the list"), text);
        assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).expect("the list").permissions().mode() & 0o777, 0o600);
        }
        fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in ["", "0s", "1", "d", "-1d", "9999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
