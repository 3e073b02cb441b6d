# WB_CFLAGS_ADD(VARIABLE, FLAG...)
# Appends to VARIABLE each flag that the C compiler takes without complaint.
AC_DEFUN([WB_CFLAGS_ADD], [
  for wb_flag in $2; do
    AS_VAR_PUSHDEF([wb_cache], [wb_cv_cflag_$wb_flag])
    AC_CACHE_CHECK([whether $CC takes $wb_flag], [wb_cache], [
      wb_save_CFLAGS=$CFLAGS
      # A compiler that knows only the positive form keeps silent about -Wno-foo, so the positive one is asked.
      CFLAGS="$CFLAGS -Wall -Werror `echo "$wb_flag" | sed 's/^-Wno-/-W/'`"
      AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([wb_cache], [yes])], [AS_VAR_SET([wb_cache], [no])])
      CFLAGS=$wb_save_CFLAGS
    ])
    AS_VAR_IF([wb_cache], [yes], [AS_VAR_APPEND([$1], [" $wb_flag"])])
    AS_VAR_POPDEF([wb_cache])
  done
])

# WB_PLAIN_CC
# Sets PLAIN_CC to the compiler that $CC runs when it is a wrapper of MPI, else to $CC: for what must not need MPI.
AC_DEFUN([WB_PLAIN_CC], [
  AC_ARG_VAR([PLAIN_CC], [C compiler inside MPICC, for the library of tokenizers (default: what MPICC says)])
  AC_CACHE_CHECK([for the compiler inside $CC], [wb_cv_plain_cc],
    [wb_cv_plain_cc=$PLAIN_CC
     # Open MPI; MPICH and its kin, which print the whole command
     for wb_flag in -showme:command -show; do
       AS_IF([test -z "$wb_cv_plain_cc"],
         [wb_cv_plain_cc=`$CC $wb_flag 2>/dev/null </dev/null | $SED -n '1{s/ -.*//;p;}'`
          AS_IF([$wb_cv_plain_cc --version >/dev/null 2>&1 </dev/null], [], [wb_cv_plain_cc=])])
     done
     AS_IF([test -z "$wb_cv_plain_cc"], [wb_cv_plain_cc=$CC])])
  PLAIN_CC=$wb_cv_plain_cc
])
