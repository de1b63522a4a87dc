"""Physical backups: pgBackRest driven as a second engine. Nothing of what it does is done here again."""
