"""Documents as pages: one protocol, and what reads PDF (MuPDF, PDFium) and images behind it."""
