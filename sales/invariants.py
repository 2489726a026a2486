"""What must be true of every sale, whatever its format. Formats put these into their own lists."""

from core.invariants import Check

TERMS_HASH_HOLDS = Check(
    "terms_hash",
    "The sealed terms still have the hash that every receipt shows.",
    """
    SELECT 1 AS expected, count(*) AS found
      FROM sales_sale JOIN sales_sealedterms ON sales_sealedterms.sale_id = sales_sale.id
                                            AND sales_sealedterms.version = sales_sale.terms_version
     WHERE sales_sale.id = %(sale_id)s
       AND encode(sha256(convert_to(sales_sealedterms.text, 'UTF8')), 'hex') = sales_sale.terms_sha256
    """,
)
