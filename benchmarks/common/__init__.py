"""What benchmarks share: programs that are run, engines, figures and what is demanded of them."""
