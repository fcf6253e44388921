# SPDX-License-Identifier: BSD-2-Clause
# libsallyport: the native engine and the language as a library; and installing, of it and of the programs.

LIB_SONAME := libsallyport.so.0
LIB_SRC := host/engine.c $(wildcard host/batch*.c) host/names.c $(wildcard policy/*.c) $(wildcard lib/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/pic/%.o)
# the engine of the calling thread is a thread's own variable: found at its place, not by a call
LIB_CFLAGS := -fPIC -fvisibility=hidden -ftls-model=initial-exec
$(B)/pic/host/engine.o $(B)/pic/host/batch_%.o: CFLAGS += -O3 -fno-builtin-memset

$(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LIB_CFLAGS) -DSP_VERSION='"$(VERSION)"' -c $< -o $@

# one object, in which everything but the public names is local: nothing clashes with the program's own
$(B)/libsallyport.a: $(LIB_OBJ)
	$(LD) -r -o $(B)/pic/sallyport.o $^
	objcopy --localize-hidden $(B)/pic/sallyport.o
	rm -f $@
	$(AR) rcs $@ $(B)/pic/sallyport.o

$(B)/$(LIB_SONAME): $(LIB_OBJ)
	$(CC) $(CFLAGS) -shared -Wl,-soname,$(LIB_SONAME) -Wl,-z,defs -o $@ $^

$(B)/libsallyport.so: $(B)/$(LIB_SONAME)
	ln -sf $(LIB_SONAME) $@

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man

.PHONY: lib install install-lib
lib: $(B)/libsallyport.a $(B)/libsallyport.so

install: all install-lib ## everything below PREFIX (/usr/local), DESTDIR before it; no unit files
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8
	install -m 755 $(B)/sally $(B)/sallyd $(DESTDIR)$(SBINDIR)
	install -m 644 man/sally.conf.5 $(DESTDIR)$(MANDIR)/man5
	install -m 644 $(B)/man/sally-reasons.7 $(DESTDIR)$(MANDIR)/man7
	install -m 644 man/sally.8 man/sallyd.8 $(DESTDIR)$(MANDIR)/man8

install-lib: $(B)/libsallyport.a $(B)/libsallyport.so ## libsallyport only: library, header, pkg-config file, manual
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(MANDIR)/man3
	install -m 644 $(B)/libsallyport.a $(B)/$(LIB_SONAME) $(DESTDIR)$(LIBDIR)
	ln -sf $(LIB_SONAME) $(DESTDIR)$(LIBDIR)/libsallyport.so
	install -m 644 include/sallyport.h $(DESTDIR)$(PREFIX)/include
	sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@LIBDIR@,$(LIBDIR),' -e 's,@VERSION@,$(VERSION),' lib/libsallyport.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/libsallyport.pc
	install -m 644 man/libsallyport.3 $(DESTDIR)$(MANDIR)/man3
