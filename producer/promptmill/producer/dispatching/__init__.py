"""Feed the queues with hints for due jobs, and put right what is left behind: the dispatcher."""
