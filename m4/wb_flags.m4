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
