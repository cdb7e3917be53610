"""Training on many ranks: parameters cut by FSDP, experts and long sequences shared out.

Every rank runs the same program on its own part of each batch, and the parts add up to what one
process computes (V3 report, 3.2: expert parallelism and ZeRO; context parallelism for 128K).
"""
