//! The optimizer: examples of every rule, generated programs, the corpus, known bugs of peers.

mod calls;
mod corpus;
mod driver;
mod examples;
mod generate;
mod ledger;
mod peers;
mod regressions;
mod support;
