//! The rules as claims: worked examples, laws, and the faults of other programs.

mod corrections;
mod dst;
mod engine;
mod errors;
mod examples;
mod explanations;
mod faults;
mod hostile;
mod laws;
mod months;
mod night_shift;
mod rules;
mod site;
mod worlds;

#[path = "../support/exchange.rs"]
mod exchange;
#[path = "../support/table.rs"]
mod table;
#[path = "../support/zones.rs"]
mod zones;
