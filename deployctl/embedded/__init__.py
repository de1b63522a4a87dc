"""PostgreSQL, Redis and every process of deployctl on one machine, from one command, in one data folder."""
