// SPDX-License-Identifier: GPL-2.0
/*
 * Facts for docs/exercise.md that no command of the shell shows. A read of a file in /sys/kernel/debug/exercise does
 * an experiment, and says what came of it. Some do what must not be done, as far as the kernel that they run on
 * survives that; so this is for the virtual machine of `make exercise`, and for nothing else.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/kobject.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/*
 * A sample as the course has it: a list, two times, a reference count. (That is last, since KASAN keeps a list of its
 * own at the beginning of what was freed: stale_show() must not change that.)
 */
struct sample {
	struct list_head list;
	u64 utime;
	u64 stime;
	struct kref references;
};

/* --- ksize: what an allocation really takes ------------------------------------------------------ */

static int of_cache(struct seq_file *m, const char *what, unsigned int size, slab_flags_t flags)
{
	struct kmem_cache *cache;
	void *object;

	cache = kmem_cache_create("exercise_size", size, 0, flags | SLAB_NO_MERGE, NULL);
	if (!cache)
		return -ENOMEM;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (object) {
		seq_printf(m, "%-36s sizeof %5u ksize %5zu\n", what, size, ksize(object));
		kmem_cache_free(cache, object);
	}
	kmem_cache_destroy(cache);
	return object ? 0 : -ENOMEM;
}

static int ksize_show(struct seq_file *m, void *v)
{
	static const unsigned int sizes[] = { 1, 13, sizeof(struct sample), 65, 200, 600, 1025, 5000, 8193 };
	int err;

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		void *object = kmalloc(sizes[i], GFP_KERNEL);

		if (!object)
			return -ENOMEM;
		seq_printf(m, "%-36s sizeof %5u ksize %5zu\n", "kmalloc", sizes[i], ksize(object));
		kfree(object);
	}
	err = of_cache(m, "a cache of its own", sizeof(struct sample), 0);
	if (!err)
		err = of_cache(m, "the same, SLAB_HWCACHE_ALIGN", sizeof(struct sample), SLAB_HWCACHE_ALIGN);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(ksize);

/* A cache that does not say SLAB_NO_MERGE. */
static struct kmem_cache *merged;

/* --- fresh: what is in memory that was just allocated ------------------------------------------------ */

#define FRESH 8
#define PATTERN 0xaa

static void *pages[FRESH];

static void fresh_free(void)
{
	for (int i = 0; i < FRESH; i++) {
		kfree(pages[i]);
		pages[i] = NULL;
	}
}

static int fresh_alloc(gfp_t flags)
{
	for (int i = 0; i < FRESH; i++) {
		pages[i] = kmalloc(PAGE_SIZE, flags);
		if (!pages[i]) {
			fresh_free();
			return -ENOMEM;
		}
	}
	return 0;
}

/* Fills some pages, frees them, and looks what is in as many new ones. */
static int fresh_try(struct seq_file *m, const char *what, gfp_t flags)
{
	unsigned int zero = 0, former = 0, poison = 0, other = 0;
	int err = fresh_alloc(GFP_KERNEL);

	if (err)
		return err;
	for (int i = 0; i < FRESH; i++)
		memset(pages[i], PATTERN, PAGE_SIZE);
	fresh_free();

	err = fresh_alloc(flags);
	if (err)
		return err;
	for (int i = 0; i < FRESH; i++) {
		const volatile u8 *bytes = pages[i];

		for (int at = 0; at < PAGE_SIZE; at++) {
			switch (bytes[at]) {
			case 0:
				zero++;
				break;
			case PATTERN:
				former++;
				break;
			case 0x6b:
				poison++;
				break;
			default:
				other++;
			}
		}
	}
	fresh_free();
	seq_printf(m, "%-32s 00: %5u  aa: %5u  6b: %5u  others: %u\n", what, zero, former, poison, other);
	return 0;
}

static int fresh_show(struct seq_file *m, void *v)
{
	int err = fresh_try(m, "kmalloc(4096, GFP_KERNEL)", GFP_KERNEL);

	return err ?: fresh_try(m, "kmalloc(4096, ... | __GFP_ZERO)", GFP_KERNEL | __GFP_ZERO);
}
DEFINE_SHOW_ATTRIBUTE(fresh);

/* --- shrinker: one that tells the truth, and some that do not --------------------------------------- */

#define ITEMS 1000
/* Who lies about nr_scanned would be called for ever. */
#define PATIENCE 5000

struct item {
	struct list_head list;
	char data[1000];
};

static const char * const behaviours[] = { "truth", "none", "many", "freed", "unscanned" };

enum behaviour {
	TRUTH,
	/* count_objects says that there is nothing to free. */
	NONE,
	/* It says that there is a hundred times as much. */
	MANY,
	/* scan_objects frees nothing, and says that it freed all it was asked for. */
	FREED,
	/* scan_objects frees nothing, and says that it has not even looked. */
	UNSCANNED,
};

static LIST_HEAD(items);
static DEFINE_MUTEX(items_lock);
/* All under the lock. */
static enum behaviour behaviour;
static unsigned long left, counts, scans, asked, freed;
static bool stopped;

static struct shrinker *shrinker;

static unsigned long items_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long count;

	guard(mutex)(&items_lock);
	counts++;
	count = left;
	switch (behaviour) {
	case NONE:
		count = 0;
		break;
	case MANY:
		count = 100 * ITEMS;
		break;
	default:
		break;
	}
	return count ?: SHRINK_EMPTY;
}

static unsigned long items_free(unsigned long most)
{
	unsigned long count = 0;

	while (count < most && !list_empty(&items)) {
		struct item *item = list_first_entry(&items, struct item, list);

		list_del(&item->list);
		kfree(item);
		count++;
	}
	left -= count;
	return count;
}

static unsigned long items_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long count;

	guard(mutex)(&items_lock);
	scans++;
	asked += sc->nr_to_scan;
	switch (behaviour) {
	case FREED:
		return sc->nr_to_scan;
	case UNSCANNED:
		sc->nr_scanned = 0;
		stopped = scans == PATIENCE;
		return stopped ? SHRINK_STOP : 0;
	default:
		break;
	}
	count = items_free(sc->nr_to_scan);
	freed += count;
	return count;
}

static int shrinker_show(struct seq_file *m, void *v)
{
	guard(mutex)(&items_lock);
	seq_printf(m, "%-9s count_objects %2lu  scan_objects %4lu  asked for %6lu  freed %4lu  left %4lu%s\n",
		   behaviours[behaviour], counts, scans, asked, freed, left,
		   stopped ? "  (gave up)" : "");
	return 0;
}

/* Takes the name of a behaviour: from now on, the shrinker is so, and has its items. */
static ssize_t shrinker_write(struct file *file, const char __user *data, size_t len, loff_t *pos)
{
	char name[16] = "";
	int found;

	if (len >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, data, len))
		return -EFAULT;
	found = sysfs_match_string(behaviours, name);
	if (found < 0)
		return found;

	guard(mutex)(&items_lock);
	/* The lock is taken in reclaim, too: so here nothing may reclaim. */
	while (left < ITEMS) {
		struct item *item = kmalloc(sizeof(*item), GFP_NOWAIT);

		if (!item)
			return -ENOMEM;
		list_add_tail(&item->list, &items);
		left++;
	}
	behaviour = found;
	counts = scans = asked = freed = 0;
	stopped = false;
	return len;
}
DEFINE_SHOW_STORE_ATTRIBUTE(shrinker);

/* --- stale: a reference that is taken too late ------------------------------------------------------ */

static struct kmem_cache *samples;

static void sample_release(struct kref *references)
{
	kmem_cache_free(samples, container_of(references, struct sample, references));
}

static struct sample *sample_new(u64 utime)
{
	struct sample *sample = kmem_cache_alloc(samples, GFP_ATOMIC);

	if (sample) {
		kref_init(&sample->references);
		INIT_LIST_HEAD(&sample->list);
		sample->utime = utime;
		sample->stime = 0;
	}
	return sample;
}

/* What a reader and a writer do who share no lock, one after the other, as it might come about. */
static int stale_show(struct seq_file *m, void *v)
{
	struct sample *found, *other;
	LIST_HEAD(list);
	int got;

	/* On one processor: it is its free objects that are used again. */
	preempt_disable();
	found = sample_new(1);
	if (!found)
		goto nothing;
	list_add(&found->list, &list);

	/* The reader has found it, and holds nothing yet. The writer takes it out, and puts the last reference. */
	list_del(&found->list);
	kref_put(&found->references, sample_release);
	/* Somebody needs one. */
	other = sample_new(2);
	if (!other)
		goto nothing;

	/* The reader goes on. */
	got = kref_get_unless_zero(&found->references);
	preempt_enable();
	seq_printf(m, "kref_get_unless_zero: %d; ", got);
	if (found == other) {
		seq_printf(m, "looked for utime 1, and holds utime %llu\n", other->utime);
		if (got)
			kref_put(&found->references, sample_release);
	} else {
		seq_puts(m, "the memory was not used again\n");
	}
	kref_put(&other->references, sample_release);
	return 0;
nothing:
	preempt_enable();
	return -ENOMEM;
}
DEFINE_SHOW_ATTRIBUTE(stale);

/* --- page: an attribute that fills its page ---------------------------------------------------------- */

static ssize_t page_show(struct kobject *kobj, struct kobj_attribute *attr, char *page)
{
	memset(page, 'x', PAGE_SIZE);
	return PAGE_SIZE;
}

static struct kobj_attribute page_attribute = __ATTR(exercise, 0400, page_show, NULL);

/* --- leak, and init: for kernels that notice --------------------------------------------------------- */

#ifdef CONFIG_DEBUG_KMEMLEAK
static int leak_show(struct seq_file *m, void *v)
{
	struct sample *sample = kmalloc(sizeof(*sample), GFP_KERNEL);

	if (!sample)
		return -ENOMEM;
	sample->utime = 1;
	seq_printf(m, "%zu bytes to which nothing points any more\n", ksize(sample));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(leak);
#endif

#if defined(CONFIG_DEBUG_LIST) && defined(CONFIG_DEBUG_MUTEXES) && !defined(CONFIG_BUG_ON_DATA_CORRUPTION)
#define HAS_INIT
/* A history as kzalloc() leaves it, used as it is. */
static int init_show(struct seq_file *m, void *v)
{
	struct history {
		struct mutex lock;
		struct list_head samples;
	} *history = kzalloc(sizeof(*history), GFP_KERNEL);
	struct list_head sample;

	if (!history)
		return -ENOMEM;
	list_add(&sample, &history->samples);
	seq_printf(m, "list_add() to a zeroed list_head: the list is still %s\n",
		   history->samples.next ? "something" : "NULL");
	mutex_lock(&history->lock);
	mutex_unlock(&history->lock);
	seq_puts(m, "mutex_lock() of a zeroed mutex: see the log\n");
	kfree(history);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(init);
#endif

/* --- the module -------------------------------------------------------------------------------------- */

static struct dentry *folder;

static int __init exercise_init(void)
{
	int err = -ENOMEM;

	samples = kmem_cache_create("exercise_sample", sizeof(struct sample), 0, SLAB_NO_MERGE, NULL);
	if (!samples)
		return -ENOMEM;
	merged = kmem_cache_create("exercise_merged", 1024, 0, 0, NULL);
	if (!merged)
		goto no_merged;
	shrinker = shrinker_alloc(0, "exercise");
	if (!shrinker)
		goto no_shrinker;
	shrinker->count_objects = items_count;
	shrinker->scan_objects = items_scan;
	shrinker->seeks = DEFAULT_SEEKS;
	err = sysfs_create_file(kernel_kobj, &page_attribute.attr);
	if (err)
		goto no_file;

	/* Here everything is there that reclaim and readers may ask for. */
	shrinker_register(shrinker);
	folder = debugfs_create_dir("exercise", NULL);
	debugfs_create_file("ksize", 0400, folder, NULL, &ksize_fops);
	debugfs_create_file("fresh", 0400, folder, NULL, &fresh_fops);
	debugfs_create_file("shrinker", 0600, folder, NULL, &shrinker_fops);
	debugfs_create_file("stale", 0400, folder, NULL, &stale_fops);
#ifdef CONFIG_DEBUG_KMEMLEAK
	debugfs_create_file("leak", 0400, folder, NULL, &leak_fops);
#endif
#ifdef HAS_INIT
	debugfs_create_file("init", 0400, folder, NULL, &init_fops);
#endif
	return 0;

no_file:
	shrinker_free(shrinker);
no_shrinker:
	kmem_cache_destroy(merged);
no_merged:
	kmem_cache_destroy(samples);
	return err;
}

static void __exit exercise_exit(void)
{
	debugfs_remove(folder);
	sysfs_remove_file(kernel_kobj, &page_attribute.attr);
	shrinker_free(shrinker);
	items_free(ITEMS);
	kmem_cache_destroy(merged);
	kmem_cache_destroy(samples);
}

module_init(exercise_init);
module_exit(exercise_exit);

MODULE_AUTHOR("The taskmonitor authors");
MODULE_DESCRIPTION("Facts for docs/exercise.md");
MODULE_LICENSE("GPL");
