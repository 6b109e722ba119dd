"""What casts doubt on a number: findings with codes, refusals, probes that look for hidden gradients."""
