//! The promises of the stack, tested on the real stack: real HAProxy, real TLS, real processes that are really killed.

mod bad_input;
mod command;
mod connections;
mod dev_script;
mod durability;
mod edge_authentication;
mod failover;
mod graphql_over_http;
mod hostile_http;
mod leaks;
mod limits;
mod missing_programs;
mod monitoring;
mod raw;
mod route_limits;
mod route_rules;
mod route_servers;
mod routes;
mod secrets;
mod sign_up_and_log_in;
mod support;
mod tls;
mod tracing;
mod two_gateways;
mod webhook;
