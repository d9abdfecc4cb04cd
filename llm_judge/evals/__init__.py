"""Measuring the judge: demo items, bench, and later suites and metrics."""
