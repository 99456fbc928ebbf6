"""What finished runs tell: histories, statistics, figures and the report of them."""
