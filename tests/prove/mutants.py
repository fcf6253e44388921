# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes that the proof must find: copies of the core, each broken in one place, and what Eva has to say of it."""

import collections

# changes: (old, new) pairs, each old text stands in the file once; alarm: a part of the alarm's text; where: if elsewhere
Mutant = collections.namedtuple("Mutant", "name harness file changes alarm where", defaults=[None])

MUTANTS = [
    Mutant("ip4_options_off_by_one", "parse", "core/parse.h", [
        ("\t\treturn SP_R_IP_OPTIONS;\n\tfor (sp_u32 i = 0; i < SP_OPTIONS_MAX; i++) {",
         "\t\treturn SP_R_IP_OPTIONS;\n\tfor (sp_u32 i = 0; i <= SP_OPTIONS_MAX; i++) {"),
        ("\t\tint end;\n\n\t\tif (i >= o->len)", "\t\tint end;\n\n\t\tif (i > o->len)")],
           "out of bounds"),
    Mutant("ip4_options_one_byte_more", "parse", "core/parse.h", [
        ("struct sp_options o = { .len = ihl - 20 };", "struct sp_options o = { .len = ihl - 19 };")], "'load'",
           "tests/prove/world.h"),
    Mutant("a_load_that_failed_is_used", "parse", "core/parse.h", [
        ("if (p->l4_len < 20 || sp_load(dev, p->l4_off, &tcp, 20))",
         "if (p->l4_len < 20 || sp_load(dev, p->l4_off, &tcp, 20) > 0)")], "initialized"),
    Mutant("a_datagram_longer_than_its_map", "frag", "core/frag.h", [
        ("if (!f || w >= SP_FRAG_WORDS || a >= 64 || to <= lo)", "if (!f || a >= 64 || to <= lo)")], "out of bounds"),
    Mutant("a_way_that_no_set_has", "table", "core/table.h", [
        ("\tif (!set || word >= SP_TAG_WORDS)\n\t\treturn 0;", "\tif (!set || word > SP_TAG_WORDS)\n\t\treturn 0;")],
           "out of bounds"),
    Mutant("a_lane_too_many", "table", "core/table.h", [
        ("for (sp_u32 lane = 0; lane < 4; lane++) {", "for (sp_u32 lane = 0; lane < 5; lane++) {")], "shift"),
    Mutant("a_share_of_nobody", "table", "core/table.h", [
        ("((sp_u64)SP_READ(s->sources) + 1)", "(SP_READ(s->sources) + 1)")], "division by zero"),
    Mutant("sets_read_twice", "table", "core/expire.h", [
        ("n %= words;", "n %= c->sets * SP_TAG_WORDS;")], "division by zero"),
    Mutant("a_conversation_that_is_not_there", "track", "core/track.h", [
        ("\tf = sp_flow_at(at);\n\tif (!f)\n\t\treturn SP_TRACK_MISS;", "\tf = sp_flow_at(at);")], "valid",
           "core/table.h"),
    Mutant("a_slot_that_is_not_there", "nat", "core/ports.h", [
        ("if (!nat || i >= SP_NAT_SLOTS || i >= nat->slots ||", "if (!nat || i >= nat->slots ||")], "out of bounds"),
    Mutant("a_rate_of_nothing", "policy", "core/order.h", [
        ("\trate = SP_READ(o->rate);", "\trate = SP_READ(o->rate) & 0xfff0;"),
        ("\tif (rate) {", "\tif (SP_READ(o->rate)) {")], "division by zero"),
    Mutant("a_segment_cut_short", "fast", "core/fast.h", [
        ("if (l4 + 20 > end || p->l4_len < 20)", "if (l4 + 19 > end || p->l4_len < 20)")], "valid"),
    Mutant("a_sum_one_word_too_long", "packet", "port/port_host.h", [
        ("for (i = 0; i + 2 <= len; i += 2) {", "for (i = 0; i < len; i += 2) {")], "valid"),
    Mutant("a_load_beyond_the_end", "packet", "port/port_host.h", [
        ("SP_INLINE int sp_load(sp_dev *dev, sp_u32 off, void *to, sp_u32 n)\n{\n"
         "\tif (off > dev->len || n > dev->len - off)",
         "SP_INLINE int sp_load(sp_dev *dev, sp_u32 off, void *to, sp_u32 n)\n{\n"
         "\tif (off > dev->len || n > dev->len - off + 1)")], "valid"),
    Mutant("a_set_too_many", "lookup", "port/port_host.h", [
        ("return i < sp_host->t.config->sets ?", "return i <= sp_host->t.config->sets ?")],
           "valid", "tests/prove/lookup.c"),
    Mutant("an_image_line_too_many", "lookup", "port/port_host.h", [
        ("line < ((struct sp_image_head *)image)->lines", "line <= ((struct sp_image_head *)image)->lines")],
           "valid", "tests/prove/lookup.c"),
]
