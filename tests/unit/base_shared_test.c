/* Memory that outlives exec: what one mapping writes another reads, a number
 * that is no such memory is refused, and too little is told. */
#include "test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include "base/arena.h"
#include "base/shared.h"

static void it_is_zeroed_and_shared_by_its_number(void **state)
{
    shared a, b;
    assert_ok(shared_new(70000, &a));
    assert_true(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
    const char *p = a.p;
    for (size_t i = 0; i < a.n; i++) assert_int_equal(p[i], 0);
    strcpy(a.p, "kept");
    assert_ok(shared_keep(a.fd, true));
    assert_int_equal(fcntl(a.fd, F_GETFD), 0);
    shared_unmap(&a);
    assert_ok(shared_open(a.fd, &b));
    assert_string_equal(b.p, "kept");
    assert_true(b.n >= 70000 && (fcntl(b.fd, F_GETFD) & FD_CLOEXEC));
    shared_close(&b);
    assert_int_equal(b.fd, -1);
}

static void what_is_no_memory_is_refused(void **state)
{
    shared s;
    int fd[2];
    assert_fails(shared_open(987, &s), E_FORMAT, "987");
    assert_int_equal(pipe(fd), 0);
    assert_fails(shared_open(fd[0], &s), E_FORMAT, NULL);
    close(fd[0]);
    close(fd[1]);
    shared_close(&s);
}

static void too_little_is_told(void **state)
{
    shared s;
    struct rlimit was, small;
    assert_fails(shared_new(SIZE_MAX, &s), E_MEMORY, "no shared memory of");
    mem_fail_at(1);
    rc r = shared_new(10, &s);
    mem_fail_at(0);
    assert_int_equal(r, E_MEMORY);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = (struct rlimit){4096, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    r = shared_new(1 << 20, &s);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_fails(r, E_MEMORY, "1.0 MB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_zeroed_and_shared_by_its_number),
        cmocka_unit_test(what_is_no_memory_is_refused),
        cmocka_unit_test(too_little_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
