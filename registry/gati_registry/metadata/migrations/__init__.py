"""The core's migrations, `NNNN.<engine>.sql`; forward only."""
