"""The page: reports and a summary in, one self-contained HTML file out."""
