"""Run pgBackRest, the engine of physical backups."""
