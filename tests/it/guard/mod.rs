//! Who may be called: the corpus of URLs and what answers of nameservers lead
//! to, when a subscription is written and when it is delivered to.

mod connect;
mod corpus;
mod honest;
mod phases;
mod write;
