"""Wake-ups and presence between processes: in memory for one process, over Redis for many."""
