/* A full scan of ksmd at C speed, over a frozen snapshot.
 *
 * The limit that analyzer/engine/kernel.py is held against; nothing but the
 * benchmark uses it. It has the whole of smart scan, the checksum gate, the limit of
 * sharers and the zero page, and leaves out what needs frames and folios: each item is
 * a page of its own. C11.
 */
#include <stdint.h>

enum { IN_UNSTABLE = 1, IN_STABLE = 2, SEEN = 4, ZEROED = 8 };
enum {
	SHARED, SHARING, UNSHARED, ITEMS, ZERO_PAGES, CHAINS, DUPS, SKIPPED, SCANNED,
	COUNTERS
};

/* A content's place in both trees. */
struct place {
	int32_t unstable_item;
	int32_t unstable_scan;
	int32_t room;		/* sharers that the youngest KSM page still takes */
	int32_t nodes;
};

struct ksmd {
	int64_t items;
	const int32_t *content;	/* [item]; negative: found nowhere else */
	int32_t *checksum;	/* [item]; a content, or one that cannot be */
	uint8_t *where, *age, *skips;
	struct place *place;	/* [content ≥ 0]; unstable_scan begins as -1 */
	int64_t *counters;	/* [COUNTERS] */
	int32_t zero_content;	/* or a number that is no content */
	int32_t max_page_sharing;
	int32_t use_zero_pages;
	int32_t smart_scan;
};

/* Visits every item once; *scan* counts up from 0 between calls. */
void scan_pass(struct ksmd *ksmd, int32_t scan)
{
	const int32_t *content = ksmd->content;
	int32_t *checksum = ksmd->checksum;
	uint8_t *where = ksmd->where, *age = ksmd->age, *skips = ksmd->skips;
	struct place *places = ksmd->place;
	const int32_t zero = ksmd->use_zero_pages ? ksmd->zero_content : INT32_MIN;
	const int32_t most = ksmd->max_page_sharing, smart = ksmd->smart_scan;
	int64_t unshared = 0, items = 0, sharing = 0, shared = 0, zeros = 0;
	int64_t skipped = 0, scanned = 0, chains = 0, dups = 0;

	for (int64_t i = 0; i < ksmd->items; i++) {
		uint8_t was = where[i];
		if (was & IN_STABLE) {
			scanned++;
			continue;
		}
		if (was & ZEROED) {
			items -= (was & SEEN) != 0;
			where[i] = ZEROED;
			continue;
		}
		items += !(was & SEEN);
		unshared -= was & IN_UNSTABLE;
		where[i] = SEEN;
		if (smart) {
			uint8_t years = age[i];
			age[i] = years + (years < 255);
			if (years >= 3) {
				if (skips[i]) {
					skips[i]--;
					skipped++;
					continue;
				}
				skips[i] = years <= 3 ? 1 : years <= 5 ? 2 : years <= 8 ? 4 : 8;
			}
		}
		scanned++;
		int32_t bytes = content[i];
		if (checksum[i] != bytes) {
			checksum[i] = bytes;
			continue;
		}
		if (bytes < 0) {
			where[i] = SEEN | IN_UNSTABLE;
			unshared++;
			continue;
		}
		if (bytes == zero) {
			where[i] = SEEN | ZEROED;
			zeros++;
			continue;
		}
		struct place *place = places + bytes;
		if (place->room) {
			place->room--;
			where[i] = SEEN | IN_STABLE;
			sharing++;
		} else if (place->unstable_scan == scan) {
			where[place->unstable_item] = where[i] = SEEN | IN_STABLE;
			place->unstable_scan = -1;
			place->room = most - 2;
			chains += place->nodes == 1;
			dups += (place->nodes == 1) + (place->nodes >= 1);
			place->nodes++;
			unshared--;
			shared++;
			sharing++;
		} else {
			place->unstable_scan = scan;
			place->unstable_item = (int32_t)i;
			where[i] = SEEN | IN_UNSTABLE;
			unshared++;
		}
	}
	ksmd->counters[SHARED] += shared;
	ksmd->counters[SHARING] += sharing;
	ksmd->counters[UNSHARED] += unshared;
	ksmd->counters[ITEMS] += items;
	ksmd->counters[ZERO_PAGES] += zeros;
	ksmd->counters[CHAINS] += chains;
	ksmd->counters[DUPS] += dups;
	ksmd->counters[SKIPPED] += skipped;
	ksmd->counters[SCANNED] += scanned;
}
