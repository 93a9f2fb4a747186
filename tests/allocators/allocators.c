// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an object costs from each allocator of the kernel, in cycles of the CPU and in bytes.
 *
 * All is measured while the module loads; it says what came out in the kernel log, one line each:
 *
 *	allocators: NAME SIZE STATE ALLOC FREE BYTES
 *
 * ALLOC and FREE are medians over batches, for an object, without the loop and the reading of the clock.
 * Where the clock counts instructions (tests/bench-allocators sees to that), they are instructions.
 *
 * STATE is
 *
 *	hot		4 objects are allocated, and freed again, over and over
 *	alone		of a fresh cache, 15 batches are allocated, one after the other, and then freed in the same
 *			order. Of caches that others use, too (kmalloc), 16,384 objects are allocated before, which
 *			fill the holes that there are.
 *	fragmented	32 batches are allocated, and half of their objects freed, chosen at random and in random
 *			order. Then as above: what is measured is allocated from the holes.
 *
 * BYTES are those of all slabs in which there are objects, divided by the objects: of those of the 15 batches,
 * or of the half that is left. Pages are what they are, and vmalloc() takes what it says in vmalloc_bytes().
 *
 * All is done twice, and what is said is the second time. In the first, the kernel takes memory for this that
 * was meant for pages which can be moved, and wakes up who makes room for that.
 *
 * Nothing else should run meanwhile. No memory stays allocated once the module is loaded, or that failed.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/mempool.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>

#define BATCHES		15
#define POPULATION	32		/* batches */
#define BATCH		512		/* objects, as long as the population has no more than ... */
#define POPULATION_MAX	(64UL << 20)	/* bytes */
#define HOT		4		/* what fits into any sheaf of a CPU */
#define HOT_ROUNDS	255
#define FILL		16384		/* objects */
#define RESERVE		64		/* objects, as taskmonitor has by default */
#define SEED		267
#define TIMES		2
#define NEEDED		(160UL << 20)	/* bytes: the population, or what fills the holes, and batches */

/* Fails, and wakes up nobody who kills for memory. The mempool's are as taskmonitor's: else it would wait. */
#define FLAGS		(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)
#define FLAGS_POOL	(GFP_NOWAIT | __GFP_NOWARN)

struct bench {
	const struct allocator *allocator;
	struct kmem_cache *cache;
	mempool_t *pool;
	void **objects;			/* POPULATION * BATCH */
	void **fill;			/* FILL */
	u64 *alloc, *free;		/* HOT_ROUNDS */
	struct rnd_state rnd;
};

/*
 * An allocator is two loops: so what is in a loop is called as a driver would call it, and can be inline.
 * alloc() returns how many it got.
 */
struct allocator {
	const char *name;
	unsigned int size;
	bool cache, pool;		/* it needs them */
	bool shared;			/* with the rest of the kernel */
	unsigned int (*alloc)(struct bench *b, void **p, unsigned int n);
	void (*free)(struct bench *b, void **p, unsigned int n);
	void (*settle)(void);		/* does what free() left to be done later */
	unsigned long (*bytes)(const struct allocator *a);	/* else: slabs */
};

struct cost {
	u64 alloc, free, settle;	/* cycles a batch; of all batches */
};

#define DEFINE_EACH(name, alloc_one, free_one)						\
static unsigned int name##_alloc(struct bench *b, void **p, unsigned int n)		\
{											\
	unsigned int i;									\
											\
	for (i = 0; i < n; i++) {							\
		p[i] = alloc_one;							\
		if (unlikely(!p[i]))							\
			break;								\
	}										\
	return i;									\
}											\
											\
static void name##_free(struct bench *b, void **p, unsigned int n)			\
{											\
	unsigned int i;									\
											\
	for (i = 0; i < n; i++)								\
		free_one;								\
}

static __always_inline void *no_object(void)
{
	unsigned long p = 1;

	OPTIMIZER_HIDE_VAR(p);
	return (void *)p;
}

static __always_inline void no_free(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
}

DEFINE_EACH(nothing, no_object(), no_free(p[i]))
DEFINE_EACH(kmalloc_64, kmalloc(64, FLAGS), kfree(p[i]))
DEFINE_EACH(kmalloc_1024, kmalloc(1024, FLAGS), kfree(p[i]))
DEFINE_EACH(kmalloc_4096, kmalloc(4096, FLAGS), kfree(p[i]))
DEFINE_EACH(cache, kmem_cache_alloc(b->cache, FLAGS), kmem_cache_free(b->cache, p[i]))
DEFINE_EACH(pool, mempool_alloc(b->pool, FLAGS_POOL), mempool_free(p[i], b->pool))
DEFINE_EACH(pages_0, alloc_pages(FLAGS, 0), __free_pages(p[i], 0))
DEFINE_EACH(pages_1, alloc_pages(FLAGS, 1), __free_pages(p[i], 1))
DEFINE_EACH(pages_2, alloc_pages(FLAGS, 2), __free_pages(p[i], 2))
DEFINE_EACH(pages_3, alloc_pages(FLAGS, 3), __free_pages(p[i], 3))
DEFINE_EACH(vmalloc, __vmalloc(b->allocator->size, FLAGS), vfree(p[i]))

static unsigned int bulk_alloc(struct bench *b, void **p, unsigned int n)
{
	return kmem_cache_alloc_bulk(b->cache, FLAGS, n, p) ? n : 0;
}

static void bulk_free(struct bench *b, void **p, unsigned int n)
{
	kmem_cache_free_bulk(b->cache, n, p);
}

static unsigned long pages_bytes(const struct allocator *a)
{
	return a->size;
}

/* Pages, an array of pointers to them, and the two structs that know where they are; no page tables. */
static unsigned long vmalloc_bytes(const struct allocator *a)
{
	unsigned long pages = PAGE_ALIGN(a->size) >> PAGE_SHIFT;

	return (pages << PAGE_SHIFT) + kmalloc_size_roundup(pages * sizeof(struct page *)) +
		kmalloc_size_roundup(sizeof(struct vm_struct)) + sizeof(struct vmap_area);
}

#define EACH(prefix) .alloc = prefix##_alloc, .free = prefix##_free

static const struct allocator nothing = { "nothing", 0, EACH(nothing) };

static const struct allocator allocators[] = {
	{ "kmalloc", 64, EACH(kmalloc_64), .shared = true },
	{ "kmalloc", 1024, EACH(kmalloc_1024), .shared = true },
	{ "kmalloc", 4096, EACH(kmalloc_4096), .shared = true },
	{ "kmem_cache", 64, EACH(cache), .cache = true },
	{ "kmem_cache", 1024, EACH(cache), .cache = true },
	{ "kmem_cache", 4096, EACH(cache), .cache = true },
	{ "bulk", 64, EACH(bulk), .cache = true },
	{ "bulk", 1024, EACH(bulk), .cache = true },
	{ "bulk", 4096, EACH(bulk), .cache = true },
	{ "mempool", 64, EACH(pool), .cache = true, .pool = true },
	{ "mempool", 1024, EACH(pool), .cache = true, .pool = true },
	{ "mempool", 4096, EACH(pool), .cache = true, .pool = true },
	{ "pages", PAGE_SIZE << 0, EACH(pages_0), .bytes = pages_bytes },
	{ "pages", PAGE_SIZE << 1, EACH(pages_1), .bytes = pages_bytes },
	{ "pages", PAGE_SIZE << 2, EACH(pages_2), .bytes = pages_bytes },
	{ "pages", PAGE_SIZE << 3, EACH(pages_3), .bytes = pages_bytes },
	{ "vmalloc", 64, EACH(vmalloc), .bytes = vmalloc_bytes, .settle = vm_unmap_aliases },
	{ "vmalloc", 1024, EACH(vmalloc), .bytes = vmalloc_bytes, .settle = vm_unmap_aliases },
	{ "vmalloc", 4096, EACH(vmalloc), .bytes = vmalloc_bytes, .settle = vm_unmap_aliases },
};

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int compare_pointers(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static u64 median(u64 *values, unsigned int n)
{
	sort(values, n, sizeof(*values), compare_u64, NULL);
	return values[n / 2];
}

/* How many objects a batch has. */
static unsigned int batch_of(const struct allocator *a)
{
	return min_t(unsigned long, BATCH, POPULATION_MAX / POPULATION / max(a->size, 1U));
}

static void free_all(struct bench *b, void **p, unsigned int n)
{
	unsigned int batch = batch_of(b->allocator), i;

	for (i = 0; i < n; i += batch) {
		b->allocator->free(b, p + i, min(batch, n - i));
		cond_resched();
	}
}

/* All, or none. */
static int alloc_all(struct bench *b, void **p, unsigned int n)
{
	unsigned int batch = batch_of(b->allocator), i, got;

	for (i = 0; i < n; i += got) {
		got = b->allocator->alloc(b, p + i, min(batch, n - i));
		if (got < min(batch, n - i)) {
			free_all(b, p, i + got);
			return -ENOMEM;
		}
		cond_resched();
	}
	return 0;
}

static u64 settle(struct bench *b)
{
	u64 began = get_cycles();

	if (!b->allocator->settle)
		return 0;
	b->allocator->settle();
	return get_cycles() - began;
}

/*
 * Returns what settling took: behind each batch, lest so much is left to be done later that the kernel wakes up
 * another thread for it.
 */
static u64 free_batches(struct bench *b, void **p, unsigned int n)
{
	const struct allocator *a = b->allocator;
	u64 began, settled = 0;
	unsigned int i;

	for (i = 0; i < BATCHES; i++) {
		began = get_cycles();
		a->free(b, p + i * n, n);
		b->free[i] = get_cycles() - began;
		settled += settle(b);
		cond_resched();
	}
	return settled;
}

static int alloc_batches(struct bench *b, void **p, unsigned int n)
{
	const struct allocator *a = b->allocator;
	unsigned int i, got;
	u64 began;

	for (i = 0; i < BATCHES; i++) {
		began = get_cycles();
		got = a->alloc(b, p + i * n, n);
		b->alloc[i] = get_cycles() - began;
		if (got < n) {
			free_all(b, p, i * n + got);
			return -ENOMEM;
		}
		cond_resched();
	}
	return 0;
}

/* Bytes of the slabs in which objects are, in tenths of a byte an object. Sorts the objects. */
static u64 slab_bytes(void **p, unsigned int n)
{
	const struct page *page, *last = NULL;
	unsigned int i;
	u64 sum = 0;

	/* Objects of a slab lie side by side: so do they when they are sorted. */
	sort(p, n, sizeof(*p), compare_pointers, NULL);
	for (i = 0; i < n; i++) {
		page = virt_to_head_page(p[i]);
		if (page != last)
			sum += page_size((struct page *)page);
		last = page;
	}
	return div_u64(sum * 10, n);
}

static u64 bytes_of(struct bench *b, void **p, unsigned int n)
{
	const struct allocator *a = b->allocator;

	return a->bytes ? (u64)a->bytes(a) * 10 : slab_bytes(p, n);
}

static int measure_hot(struct bench *b, struct cost *cost)
{
	const struct allocator *a = b->allocator;
	unsigned int i, got;
	u64 began;

	for (i = 0; i < HOT_ROUNDS; i++) {
		began = get_cycles();
		got = a->alloc(b, b->objects, HOT);
		b->alloc[i] = get_cycles() - began;
		if (got < HOT) {
			a->free(b, b->objects, got);
			return -ENOMEM;
		}
		began = get_cycles();
		a->free(b, b->objects, HOT);
		b->free[i] = get_cycles() - began;
		cond_resched();
	}
	cost->alloc = median(b->alloc, HOT_ROUNDS);
	cost->free = median(b->free, HOT_ROUNDS);
	cost->settle = settle(b);
	return 0;
}

/* What is measured lies in p from the beginning; with bytes, p has room for as much behind it. */
static int measure_batches(struct bench *b, void **p, struct cost *cost, u64 *bytes)
{
	unsigned int n = batch_of(b->allocator);
	int err;

	settle(b);
	err = alloc_batches(b, p, n);
	if (err)
		return err;
	if (bytes) {
		/* Sorted in a copy, as they are freed in the order in which they came. */
		memcpy(p + BATCHES * n, p, BATCHES * n * sizeof(*p));
		*bytes = bytes_of(b, p + BATCHES * n, BATCHES * n);
	}
	cost->settle = free_batches(b, p, n);
	cost->alloc = median(b->alloc, BATCHES);
	cost->free = median(b->free, BATCHES);
	return 0;
}

static int measure_alone(struct bench *b, struct cost *cost, u64 *bytes)
{
	int err;

	if (b->allocator->shared) {
		err = alloc_all(b, b->fill, FILL);
		if (err)
			return err;
	}
	err = measure_batches(b, b->objects, cost, bytes);
	if (b->allocator->shared)
		free_all(b, b->fill, FILL);
	return err;
}

static int measure_fragmented(struct bench *b, struct cost *cost, u64 *bytes)
{
	unsigned int all = POPULATION * batch_of(b->allocator), half = all / 2, i, other;
	void **p = b->objects;
	int err;

	err = alloc_all(b, p, all);
	if (err)
		return err;
	for (i = all - 1; i > 0; i--) {
		other = prandom_u32_state(&b->rnd) % (i + 1);
		swap(p[i], p[other]);
	}
	free_all(b, p, half);
	*bytes = bytes_of(b, p + half, half);
	err = measure_batches(b, p, cost, NULL);
	free_all(b, p + half, half);
	return err;
}

/* Makes what the allocator needs, fresh. */
static int open_allocator(struct bench *b, const struct allocator *a)
{
	b->allocator = a;
	b->cache = NULL;
	b->pool = NULL;
	if (a->cache) {
		b->cache = kmem_cache_create("allocators", a->size, 0, SLAB_NO_MERGE, NULL);
		if (!b->cache)
			return -ENOMEM;
	}
	if (a->pool) {
		b->pool = mempool_create_slab_pool(RESERVE, b->cache);
		if (!b->pool) {
			kmem_cache_destroy(b->cache);
			return -ENOMEM;
		}
	}
	return 0;
}

static void close_allocator(struct bench *b)
{
	mempool_destroy(b->pool);
	kmem_cache_destroy(b->cache);
}

/* Cycles for n objects more than a loop that does nothing takes, in tenths an object. */
static u64 net(u64 cycles, u64 empty, unsigned int n)
{
	return cycles > empty ? div_u64((cycles - empty) * 10 + n / 2, n) : 0;
}

static void say(const struct allocator *a, const char *state, const struct cost *cost, const struct cost *empty,
		unsigned int n, unsigned int all, u64 bytes)
{
	u64 alloc = net(cost->alloc, empty->alloc, n);
	u64 free = net(cost->free, empty->free, n) + net(cost->settle, 0, all);

	pr_info("%s %u %s %llu.%llu %llu.%llu %llu.%llu\n", a->name, a->size, state,
		alloc / 10, alloc % 10, free / 10, free % 10, bytes / 10, bytes % 10);
}

/* What an empty loop takes, with as many passes as a batch of this allocator has. */
static int measure_empty(struct bench *b, unsigned int n, struct cost *hot, struct cost *batches)
{
	unsigned int i;
	u64 began;
	int err;

	b->allocator = &nothing;
	err = measure_hot(b, hot);
	if (err)
		return err;
	for (i = 0; i < BATCHES; i++) {
		began = get_cycles();
		nothing.alloc(b, b->objects, n);
		b->alloc[i] = get_cycles() - began;
		began = get_cycles();
		nothing.free(b, b->objects, n);
		b->free[i] = get_cycles() - began;
	}
	batches->alloc = median(b->alloc, BATCHES);
	batches->free = median(b->free, BATCHES);
	return 0;
}

static int measure(struct bench *b, const struct allocator *a, bool quiet)
{
	struct cost no_hot, no_batches, hot, alone, fragmented;
	unsigned int n = batch_of(a);
	u64 bytes, bytes_fragmented;
	int err;

	err = measure_empty(b, n, &no_hot, &no_batches);
	if (err)
		return err;

	err = open_allocator(b, a);
	if (err)
		return err;
	err = measure_alone(b, &alone, &bytes);
	if (!err)
		err = measure_hot(b, &hot);
	close_allocator(b);
	if (err)
		return err;

	err = open_allocator(b, a);
	if (err)
		return err;
	err = measure_fragmented(b, &fragmented, &bytes_fragmented);
	close_allocator(b);
	if (err)
		return err;

	if (quiet)
		return 0;
	say(a, "hot", &hot, &no_hot, HOT, HOT * HOT_ROUNDS, bytes);
	say(a, "alone", &alone, &no_batches, n, BATCHES * n, bytes);
	say(a, "fragmented", &fragmented, &no_batches, n, BATCHES * n, bytes_fragmented);
	return 0;
}

/* Cycles of a loop of 1,000 instructions: what the clock counts. */
static u64 measure_clock(struct bench *b)
{
	unsigned int i;

	for (i = 0; i < BATCHES; i++) {
		u64 began = get_cycles();
		u64 nothing = get_cycles() - began;
		unsigned long passes = 500;

		began = get_cycles();
#ifdef CONFIG_X86_64
		asm volatile("1: dec %0\n\tjnz 1b" : "+r" (passes) : : "cc");
#endif
		b->alloc[i] = get_cycles() - began - nothing;
	}
	return median(b->alloc, BATCHES);
}

static int __init allocators_init(void)
{
	struct bench *b;
	unsigned int i, time;
	int err;

	/* A new slab begins at random: as long as the kernel has no good numbers, each costs a lot. */
	err = wait_for_random_bytes();
	if (err)
		return err;
	if (si_mem_available() < NEEDED >> PAGE_SHIFT) {
		pr_err("%lu MiB of memory must be available\n", NEEDED >> 20);
		return -ENOMEM;
	}
	err = -ENOMEM;
	b = kzalloc_obj(*b);
	if (!b)
		return -ENOMEM;
	prandom_seed_state(&b->rnd, SEED);
	b->objects = kvmalloc_array(POPULATION * BATCH, sizeof(*b->objects), GFP_KERNEL);
	b->fill = kvmalloc_array(FILL, sizeof(*b->fill), GFP_KERNEL);
	b->alloc = kvmalloc_array(HOT_ROUNDS, sizeof(*b->alloc), GFP_KERNEL);
	b->free = kvmalloc_array(HOT_ROUNDS, sizeof(*b->free), GFP_KERNEL);
	if (!b->objects || !b->fill || !b->alloc || !b->free)
		goto out;

	pr_info("init_on_alloc %d, a loop of 1000 instructions takes %llu\n", want_init_on_alloc(0),
		measure_clock(b));
	for (time = 1; time <= TIMES; time++) {
		for (i = 0; i < ARRAY_SIZE(allocators); i++) {
			err = measure(b, &allocators[i], time < TIMES);
			if (err) {
				pr_err("%s %u: error %d\n", allocators[i].name, allocators[i].size, err);
				goto out;
			}
		}
	}
	pr_info("done, %zu lines\n", ARRAY_SIZE(allocators) * 3);
out:
	kvfree(b->free);
	kvfree(b->alloc);
	kvfree(b->fill);
	kvfree(b->objects);
	kfree(b);
	return err;
}

static void __exit allocators_exit(void)
{
}

module_init(allocators_init);
module_exit(allocators_exit);

MODULE_DESCRIPTION("What an object costs from each allocator of the kernel");
MODULE_LICENSE("GPL");
