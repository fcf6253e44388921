# SPDX-License-Identifier: BSD-2-Clause
# libsallyport as its users meet it: installed, found by pkg-config, linked, asked.

CHECKS += check-lib

.PHONY: check-lib
check-lib: all ## libsallyport installed elsewhere: header in C and C++, names, the example against sally replay
	MAKE="$(MAKE)" CC="$(CC)" SALLY_BUILD="$(B)" $(PYTHON) -B -m pytest -q -p no:cacheprovider tests/lib
