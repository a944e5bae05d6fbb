"""What every interpreter can run: standard library only, imported by everything, importing nothing else."""
