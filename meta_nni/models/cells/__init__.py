"""Cell search spaces: NAS-Bench-201's and the micro cells of ENAS and DARTS.

`canonical` and `topology` hold no Keras and load none; `operations`, `nasbench201` and `darts`
build models.
"""

__all__: list[str] = []
