//! What users see of faults while load runs. A machine that is busy with other tests is a fault, too: `./dev test` runs these after the
//! others, and few at once.

mod chaos;
mod connections;
mod database_cluster;
mod durability;
mod failover;
mod load;
mod outages;
mod retry_budget;
mod route_servers;
