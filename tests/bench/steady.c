/* The ideal at C speed: what counting contents costs when nothing is in the way.
 *
 * The limit that analyzer/engine/steady.py is held against; nothing but the
 * benchmark uses it. It knows no frames and no folios: each row is a page of its own.
 *
 * Digests are partitioned by their top bits, so that each part's table stays in a
 * core's own cache. Rows come process by process and keep that order inside a part;
 * hence a part needs only the places where each process begins, and no process
 * number travels along. A filter of one byte per slot proves most contents to occur
 * once before any table is touched.
 *
 * C11 with pthreads, for 64-bit Linux.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { MAX_THREADS = 16, HISTOGRAM = 40, LINE = 8, HUGE = 2 << 20 };
enum { ROWS, ZERO, DISTINCT, MERGING, CROSS, PROCESS_COLUMNS };
enum { KIND_ROWS, KIND_ZERO, KIND_MERGING, KIND_CROSS, KIND_COLUMNS };
enum { ALL_DISTINCT, ALL_SHARED, ALL_MERGING, ALL_COLUMNS };

struct host {
	const uint64_t *digest;
	int64_t rows;
	uint64_t zero;
	/* mappings: segments + 1 first rows, and whose they are */
	const int64_t *segment_row;
	const int32_t *segment_process;
	const uint8_t *segment_kind;
	int32_t segments;
	int32_t processes;
	/* ascending: processes are sorted by workload */
	const int32_t *workload;
	int32_t workloads;
	int32_t kinds;
};

struct answer {
	int64_t *process;	/* [processes][PROCESS_COLUMNS] */
	double *fair_share;	/* [processes] sum of 1 - 1/copies */
	int64_t *kind;		/* [kinds][KIND_COLUMNS] */
	int64_t *workload;	/* [workloads] distinct contents, zero aside */
	int64_t *all;		/* [ALL_COLUMNS] */
	int64_t *histogram;	/* [HISTOGRAM] shared contents by log2 of copies */
};

struct slot {
	uint64_t key;
	uint32_t copies;
	uint16_t last_process;	/* plus one */
	uint16_t processes;	/* that hold it */
};

struct job {
	const struct host *host;
	int bits, threads;
	uint64_t *cursor[MAX_THREADS];	/* [part] */
	uint64_t *part_start;		/* [parts + 1] */
	uint64_t *packed;
	uint32_t *process_start;	/* [process][part], relative to the part */
	atomic_uint next_part;
	pthread_barrier_t barrier;
	struct answer answer[MAX_THREADS];
};

struct worker {
	struct job *job;
	int number;
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void *lines(size_t bytes)
{
	return must(aligned_alloc(64, (bytes + 63) & ~(size_t)63));
}

/* Kept between calls, so that the rounds after the first measure the algorithm and
 * not the kernel's page faults; steady() is not to be called twice at a time. */
static uint64_t *scratch(size_t words)
{
	static uint64_t *kept;
	static size_t kept_words;

	if (words > kept_words) {
		size_t bytes = (words * 8 + 2 * (size_t)HUGE) & ~((size_t)HUGE - 1);
		char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			abort();
		memory += HUGE - (uintptr_t)memory % HUGE;
		madvise(memory, bytes - HUGE, MADV_HUGEPAGE);
		kept = (uint64_t *)memory;
		kept_words = words;
	}
	return kept;
}

/* One full cache line to memory, past the caches where the instruction set can. */
static inline void put_line(uint64_t *to, const uint64_t *from)
{
#if defined(__AVX512F__)
	_mm512_stream_si512((void *)to, _mm512_load_si512(from));
#elif defined(__AVX__)
	for (int i = 0; i < LINE; i += 4)
		_mm256_stream_si256((void *)(to + i),
				    _mm256_load_si256((const void *)(from + i)));
#elif defined(__SSE2__)
	for (int i = 0; i < LINE; i += 2)
		_mm_stream_si128((void *)(to + i),
				 _mm_load_si128((const void *)(from + i)));
#else
	memcpy(to, from, LINE * sizeof *to);
#endif
}

static inline void lines_are_out(void)
{
#if defined(__SSE2__)
	_mm_sfence();
#endif
}

static int64_t share_start(const struct host *host, int number, int threads)
{
	if (number == threads)
		return host->rows;
	return host->rows * number / threads & ~(int64_t)(LINE - 1);
}

static void count(const struct job *job, int number)
{
	const struct host *host = job->host;
	const int shift = 64 - job->bits;
	const uint64_t zero = host->zero;
	const uint64_t *digests = host->digest;
	uint64_t *counts = job->cursor[number];
	int64_t end = share_start(host, number + 1, job->threads);

	for (int64_t i = share_start(host, number, job->threads); i < end; i++) {
		uint64_t digest = digests[i];
		counts[digest >> shift] += digest != zero;
	}
}

/* Counts become the places where each thread writes its share of each part. */
static void lay_out(struct job *job)
{
	uint32_t parts = 1u << job->bits;
	uint64_t at = 0;

	for (uint32_t part = 0; part < parts; part++) {
		job->part_start[part] = at;
		for (int t = 0; t < job->threads; t++) {
			uint64_t rows = job->cursor[t][part];
			job->cursor[t][part] = at;
			at += rows;
		}
		at = (at + LINE - 1) & ~(uint64_t)(LINE - 1);
	}
	job->part_start[parts] = at;
}

static void partition(struct job *job, int number)
{
	const struct host *host = job->host;
	const struct answer *out = &job->answer[number];
	const int bits = job->bits, shift = 64 - bits;
	const uint32_t parts = 1u << bits;
	const uint64_t zero = host->zero;
	const uint64_t *digests = host->digest;
	uint64_t *cursor = job->cursor[number], *packed = job->packed;
	uint64_t(*line)[LINE] = lines(parts * sizeof *line);
	uint64_t *start = must(malloc(parts * sizeof *start));
	int64_t i = share_start(host, number, job->threads);
	int64_t end = share_start(host, number + 1, job->threads);
	int32_t low = 0, high = host->segments;

	memcpy(start, cursor, parts * sizeof *start);
	while (high - low > 1) {
		int32_t middle = (low + high) / 2;
		if (host->segment_row[middle] <= i)
			low = middle;
		else
			high = middle;
	}
	for (int32_t s = low; i < end; s++) {
		int32_t process = host->segment_process[s];
		uint64_t kind = host->segment_kind[s];
		int64_t stop = host->segment_row[s + 1];
		int64_t zeros = 0;

		if (stop > end)
			stop = end;
		if (host->segment_row[s] == i &&
		    (s == 0 || host->segment_process[s - 1] != process)) {
			uint32_t *begins = job->process_start + (size_t)process * parts;
			for (uint32_t part = 0; part < parts; part++)
				begins[part] = cursor[part] - job->part_start[part];
		}
		out->process[process * PROCESS_COLUMNS + ROWS] += stop - i;
		out->kind[kind * KIND_COLUMNS + KIND_ROWS] += stop - i;
		for (; i < stop; i++) {
			uint64_t digest = digests[i];
			if (digest == zero) {
				zeros++;
				continue;
			}
			uint64_t part = digest >> shift, at = cursor[part]++;
			line[part][at % LINE] = digest << bits | kind;
			if (at % LINE != LINE - 1)
				continue;
			uint64_t first = at - (LINE - 1);
			if (first >= start[part])
				put_line(packed + first, line[part]);
			else
				for (uint64_t k = start[part]; k <= at; k++)
					packed[k] = line[part][k % LINE];
		}
		out->process[process * PROCESS_COLUMNS + ZERO] += zeros;
		out->kind[kind * KIND_COLUMNS + KIND_ZERO] += zeros;
	}
	for (uint32_t part = 0; part < parts; part++) {
		uint64_t k = cursor[part] & ~(uint64_t)(LINE - 1);
		if (k < start[part])
			k = start[part];
		for (; k < cursor[part]; k++)
			packed[k] = line[part][k % LINE];
	}
	lines_are_out();
	free(line);
	free(start);
}

enum { SHARES = 1024 };

/* What one thread needs to look at a part; grows with the largest part met. */
struct bench {
	uint8_t *filter;
	uint32_t *begins;	/* [processes + 1] in kept */
	uint64_t *kept;		/* rows that may have a copy */
	uint32_t *found;	/* their slots */
	size_t room;
	struct slot *table;
	size_t table_room;
	double share[SHARES];	/* 1 - 1/copies */
};

enum { FILTER_LEAST = 15, FILTER_MOST = 20 };

static uint32_t drop_singletons(const struct job *job, const struct answer *out,
				struct bench *bench, uint32_t part, uint32_t rows)
{
	const struct host *host = job->host;
	const uint64_t *packed = job->packed + job->part_start[part];
	uint64_t *keep = bench->kept;
	const uint32_t parts = 1u << job->bits;
	uint8_t *filter = bench->filter;
	uint32_t kept = 0;
	int bits = FILTER_LEAST;

	while (bits < FILTER_MOST && (UINT64_C(1) << bits) < UINT64_C(3) * rows)
		bits++;
	const int shift = 64 - bits;
	memset(filter, 0, (size_t)1 << bits);
	for (uint32_t k = 0; k < rows; k++) {
		uint64_t at = packed[k] >> shift;
		filter[at] = filter[at] << 1 | 1;
	}
	for (int32_t p = 0; p < host->processes; p++) {
		uint32_t k = job->process_start[(size_t)p * parts + part];
		uint32_t end = p + 1 < host->processes
			? job->process_start[(size_t)(p + 1) * parts + part] : rows;
		uint32_t before = kept, rows_here = end - k;

		bench->begins[p] = kept;
		for (; k < end; k++) {
			uint64_t row = packed[k];
			keep[kept] = row;
			kept += filter[row >> shift] != 1;
		}
		uint32_t single = rows_here - (kept - before);
		out->process[p * PROCESS_COLUMNS + DISTINCT] += single;
		out->workload[host->workload[p]] += single;
		out->all[ALL_DISTINCT] += single;
	}
	bench->begins[host->processes] = kept;
	return kept;
}

static void tabulate(const struct job *job, const struct answer *out,
		     struct bench *bench, size_t size)
{
	const struct host *host = job->host;
	const uint64_t digest_mask = ~((UINT64_C(1) << job->bits) - 1);
	const int shift = 64 - __builtin_ctzll(size);
	const int32_t *workload = host->workload;
	struct slot *table = bench->table;
	int64_t distinct = 0;

	memset(table, 0, size * sizeof *table);
	for (int32_t p = 0; p < host->processes; p++) {
		int64_t in_process = 0, in_workload = 0;
		uint16_t me = p + 1;

		for (uint32_t k = bench->begins[p]; k < bench->begins[p + 1]; k++) {
			/* The low bits are the kind's: one of them tells used slots. */
			uint64_t key = (bench->kept[k] & digest_mask) | 1;
			size_t at = key >> shift;
			struct slot *slot = table + at;

			while (slot->key != key && slot->key) {
				at = (at + 1) & (size - 1);
				slot = table + at;
			}
			bench->found[k] = at;
			if (!slot->key) {
				*slot = (struct slot){key, 1, me, 1};
				in_process++;
				in_workload++;
				distinct++;
				continue;
			}
			slot->copies++;
			if (slot->last_process != me) {
				in_process++;
				in_workload += workload[slot->last_process - 1] != workload[p];
				slot->last_process = me;
				slot->processes++;
			}
		}
		out->process[p * PROCESS_COLUMNS + DISTINCT] += in_process;
		out->workload[workload[p]] += in_workload;
	}
	out->all[ALL_DISTINCT] += distinct;
	for (size_t at = 0; at < size; at++) {
		uint32_t copies = table[at].copies;
		if (copies < 2)
			continue;
		out->all[ALL_SHARED]++;
		out->all[ALL_MERGING] += copies;
		out->histogram[31 - __builtin_clz(copies)]++;
	}
}

static void give_out(const struct job *job, const struct answer *out,
		     const struct bench *bench)
{
	const uint64_t kind_mask = (UINT64_C(1) << job->bits) - 1;

	for (int32_t p = 0; p < job->host->processes; p++) {
		int64_t merging = 0, cross = 0;
		double fair = 0;

		for (uint32_t k = bench->begins[p]; k < bench->begins[p + 1]; k++) {
			const struct slot *slot = bench->table + bench->found[k];
			uint32_t copies = slot->copies;
			int shared = copies > 1, across = slot->processes > 1;
			int64_t *kind =
				out->kind + (bench->kept[k] & kind_mask) * KIND_COLUMNS;

			merging += shared;
			cross += across;
			fair += copies < SHARES ? bench->share[copies] : 1 - 1. / copies;
			kind[KIND_MERGING] += shared;
			kind[KIND_CROSS] += across;
		}
		out->process[p * PROCESS_COLUMNS + MERGING] += merging;
		out->process[p * PROCESS_COLUMNS + CROSS] += cross;
		out->fair_share[p] += fair;
	}
}

static void look_at_parts(struct job *job, int number)
{
	const struct answer *out = &job->answer[number];
	const uint32_t parts = 1u << job->bits;
	struct bench bench = {0};
	uint32_t part;

	for (int copies = 2; copies < SHARES; copies++)
		bench.share[copies] = 1 - 1. / copies;
	bench.filter = lines((size_t)1 << FILTER_MOST);
	bench.begins = must(malloc((job->host->processes + 1) * sizeof *bench.begins));
	while ((part = atomic_fetch_add(&job->next_part, 1)) < parts) {
		uint64_t end = job->cursor[job->threads - 1][part];
		uint32_t rows = end - job->part_start[part];
		size_t size = 2;

		if (!rows)
			continue;
		if (rows + 16 > bench.room) {
			free(bench.kept);
			free(bench.found);
			bench.room = rows + rows / 4 + 16;
			bench.kept = lines(bench.room * sizeof *bench.kept);
			bench.found = lines(bench.room * sizeof *bench.found);
		}
		uint32_t kept = drop_singletons(job, out, &bench, part, rows);
		while (size < kept * 3 / 2 + 1)
			size *= 2;
		if (size > bench.table_room) {
			free(bench.table);
			bench.table_room = size;
			bench.table = lines(size * sizeof *bench.table);
		}
		tabulate(job, out, &bench, size);
		give_out(job, out, &bench);
	}
	free(bench.filter);
	free(bench.begins);
	free(bench.kept);
	free(bench.found);
	free(bench.table);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct job *job = worker->job;

	count(job, worker->number);
	if (pthread_barrier_wait(&job->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
		lay_out(job);
	pthread_barrier_wait(&job->barrier);
	partition(job, worker->number);
	pthread_barrier_wait(&job->barrier);
	look_at_parts(job, worker->number);
	return NULL;
}

static void *zeroed(size_t count)
{
	return must(calloc(count + 1, 8));
}

static void add_up(const struct host *host, struct answer *sum, const struct answer *one)
{
	for (int i = 0; i < host->processes * PROCESS_COLUMNS; i++)
		sum->process[i] += one->process[i];
	for (int i = 0; i < host->processes; i++)
		sum->fair_share[i] += one->fair_share[i];
	for (int i = 0; i < host->kinds * KIND_COLUMNS; i++)
		sum->kind[i] += one->kind[i];
	for (int i = 0; i < host->workloads; i++)
		sum->workload[i] += one->workload[i];
	for (int i = 0; i < ALL_COLUMNS; i++)
		sum->all[i] += one->all[i];
	for (int i = 0; i < HISTOGRAM; i++)
		sum->histogram[i] += one->histogram[i];
}

/* Adds to *answer*, whose arrays the caller has zeroed. *bits* ≥ 8, at least so many
 * that a kind fits into them; at most 65534 processes and 16 threads. */
void steady(const struct host *host, struct answer *answer, int bits, int threads)
{
	uint32_t parts = 1u << bits;
	struct job job = {.host = host, .bits = bits, .threads = threads};
	struct worker worker[MAX_THREADS];
	pthread_t thread[MAX_THREADS];

	job.packed = scratch(host->rows + LINE * ((size_t)parts + 1));
	job.part_start = zeroed(parts + 1);
	job.process_start = must(malloc((size_t)host->processes * parts * 4));
	pthread_barrier_init(&job.barrier, NULL, threads);
	for (int t = 0; t < threads; t++) {
		job.cursor[t] = zeroed(parts);
		job.answer[t] = (struct answer){
			zeroed(host->processes * PROCESS_COLUMNS),
			zeroed(host->processes), zeroed(host->kinds * KIND_COLUMNS),
			zeroed(host->workloads), zeroed(ALL_COLUMNS), zeroed(HISTOGRAM),
		};
		worker[t] = (struct worker){&job, t};
		if (t && pthread_create(&thread[t], NULL, work, &worker[t]))
			abort();
	}
	work(&worker[0]);
	for (int t = 0; t < threads; t++) {
		struct answer *one = &job.answer[t];
		if (t)
			pthread_join(thread[t], NULL);
		add_up(host, answer, one);
		free(one->process);
		free(one->fair_share);
		free(one->kind);
		free(one->workload);
		free(one->all);
		free(one->histogram);
		free(job.cursor[t]);
	}
	pthread_barrier_destroy(&job.barrier);
	free(job.part_start);
	free(job.process_start);
}
