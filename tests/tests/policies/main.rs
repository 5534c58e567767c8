//! What policies promise (docs/policies.md), against random databases, rules and requests.

mod dice;
mod differential;
mod found;
mod injection;
mod interference;
mod oracle;
mod prediction;
mod requests;
mod rules;
mod run;
mod world;
mod writes;
mod writing;
